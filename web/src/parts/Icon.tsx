/** Line icons, 20 units square; they only decorate, the words beside them say the same. */
const paths = {
  overview: "M3 11a7 7 0 0 1 14 0M10 11l3-4M3 15h14",
  devices: "M4 4h12v12H4zM7 7h6v3H7zM7 13h.01M10 13h.01M13 13h.01",
  trends: "M3 16V4M3 16h14M5.5 12.5l3.5-4 3 2.5L17 5",
  alerts: "M10 3a5 5 0 0 0-5 5v3l-1.5 3h13L15 11V8a5 5 0 0 0-5-5zM8 17h4",
  jobs: "M4 5h12M4 10h7M4 15h5M13 12l4 2.5-4 2.5z",
  letters: "M3 5h14v10H3zM3 6l7 5 7-5",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 6m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M7 14m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  sun: "M10 6.5a3.5 3.5 0 1 1 0 7a3.5 3.5 0 0 1 0-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M16 4l-1.4 1.4M5.4 14.6L4 16",
  moon: "M16 12.2A6.5 6.5 0 0 1 7.8 4a6.5 6.5 0 1 0 8.2 8.2z",
  plus: "M10 4v12M4 10h12",
  upload: "M10 13V4M6 8l4-4 4 4M4 16h12",
  download: "M10 4v9M6 9l4 4 4-4M4 16h12",
  search: "M9 4a5 5 0 1 0 0 10a5 5 0 0 0 0-10zM13 13l4 4",
  close: "M5 5l10 10M15 5L5 15",
  copy: "M7 7h9v9H7zM4 13V4h9",
  play: "M6 4l10 6-10 6z",
  stop: "M5 5h10v10H5z",
  trash: "M4 6h12M8 6V4h4v2M6 6l1 10h6l1-10",
  refresh: "M16 10a6 6 0 1 1-2-4.5M16 3v4h-4",
  left: "M12 4l-6 6 6 6",
  right: "M8 4l6 6-6 6",
  zoomOut: "M9 4a5 5 0 1 0 0 10a5 5 0 0 0 0-10zM13 13l4 4M7 9h4",
  up: "M10 16V4M5 9l5-5 5 5",
  down: "M10 4v12M5 11l5 5 5-5",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
