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
      if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
      if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
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
