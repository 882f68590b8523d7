// Small drawings, one path each; never the only thing that says something.
const kPaths: Record<string, string> = {
  bench: "M3 18h18M5 18v-7h5v7M14 18V6h5v12M7.500 11V7",
  runs: "M4 6h4v4H4zM10 6h4v4h-4zM16 6h4v4h-4zM4 14h4v4H4zM10 14h4v4h-4z",
  chat: "M4 5h16v11H10l-4.500 4V16H4z",
  judge: "M12 4v16M7 20h10M12 6l-7 2M12 6l7 2M5 8l-2.500 6h5zM19 8l-2.500 6h5z",
  fit: "M4 8h16v8H4zM8 8v3M12 8v4M16 8v3",
  ledger: "M6 4h12v16H6zM9 8h6M9 12h6M9 16h3",
  benchmarks: "M4 20h16M6 20v-6M11 20V8M16 20V4",
  catalog: "M4 7l8-3 8 3-8 3zM4 7v10l8 3 8-3V7M12 10v10",
  doctor: "M4 12h4l2-6 4 12 2-6h4",
  fleet: "M4 5h7v6H4zM13 13h7v6h-7zM7.500 11v5.500H13",
  consent: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600l1.400 1.400M17 17l1.400 1.400M5.600 18.400l1.400-1.400M17 7l1.400-1.400",
  moon: "M19 14a8 8 0 0 1-9-9 8 8 0 1 0 9 9z",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={kPaths[name] ?? ""} />
    </svg>
  );
}
