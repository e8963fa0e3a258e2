import { useEffect, useState } from "preact/hooks";

export function navigate(path: string): void {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  scrollTo(0, 0);
}

/** The current path; links with a plain left click navigate without loading. */
export function usePath(): string {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const changed = () => setPath(location.pathname);
    const clicked = (event: MouseEvent) => {
      const link = (event.target as Element).closest?.("a");
      if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
      if (link.target || link.hasAttribute("download") || link.origin !== location.origin || link.getAttribute("href")?.startsWith("#")) return;
      if (/^\/(api|openapi|metrics|healthz|readyz)\b/.test(link.pathname)) return;
      event.preventDefault();
      navigate(link.pathname + link.search);
    };
    addEventListener("popstate", changed);
    document.addEventListener("click", clicked);
    return () => {
      removeEventListener("popstate", changed);
      document.removeEventListener("click", clicked);
    };
  }, []);
  return path;
}

/** One filter of a page, kept in the address so that a link or a reload shows the same. An empty value is left out. */
export function useQueryParameter(name: string, fallback = ""): [string, (value: string) => void] {
  const read = () => new URLSearchParams(location.search).get(name) ?? fallback;
  const [value, setValue] = useState(read);
  useEffect(() => {
    const changed = () => setValue(read());
    addEventListener("popstate", changed);
    return () => removeEventListener("popstate", changed);
  }, [name]);
  const change = (next: string) => {
    const query = new URLSearchParams(location.search);
    if (next && next !== fallback) query.set(name, next);
    else query.delete(name);
    const search = query.toString();
    history.replaceState(null, "", location.pathname + (search ? `?${search}` : ""));
    setValue(next);
  };
  return [value, change];
}
