import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

// The built pages are static files of the server; nothing is loaded from anywhere else.
export default defineConfig({
  plugins: [preact({ devToolsEnabled: false, prefetchEnabled: false } as never)],
  base: "/",
  build: {
    outDir: "../src/Millrace.Web/wwwroot",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
