import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Session } from "./api";

export const SessionContext = createContext<Session | null>(null);

const ranks = ["read", "operate", "admin"];

/** Whether whoever looks may do what needs the role; in open mode everybody may. */
export function useMay(role: "operate" | "admin"): boolean {
  const session = useContext(SessionContext);
  return !session || session.mode === "open" || ranks.indexOf(session.role ?? "") >= ranks.indexOf(role);
}
