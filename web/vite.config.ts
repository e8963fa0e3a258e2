import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import preact from "@preact/preset-vite";
import { type Plugin, defineConfig } from "vite";

const out = join(import.meta.dirname, "../src/Millrace.Web/wwwroot");

/** Packs scripts, styles and the page beside themselves, once and hard, so that the server only has to send them. */
const packed: Plugin = {
  name: "packed",
  apply: "build",
  closeBundle() {
    const files = [join(out, "index.html"), ...readdirSync(join(out, "assets")).map((name) => join(out, "assets", name))];
    for (const file of files.filter((name) => /\.(html|js|css|svg)$/.test(name))) {
      const bytes = readFileSync(file);
      writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
      writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
    }
  },
};

// The built pages are static files of the server; nothing is loaded from anywhere else.
export default defineConfig({
  plugins: [preact({ devToolsEnabled: false, prefetchEnabled: false } as never), packed],
  base: "/",
  build: {
    outDir: out,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
