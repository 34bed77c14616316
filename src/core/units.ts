/** Sizes in bytes, times in milliseconds, rates in bytes per second. */
export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1.5 GiB`; whole bytes are never rounded. */
export function showBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 10 ? 2 : 1)} ${SIZES[unit]}`;
}

/** Bytes per second as an operator would write them: `50 Mbit/s` where that is round, else `200.0 MiB/s`. */
export function showBandwidth(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  const [unit, name] = bits % 1e9 === 0 ? [1e9, 'Gbit/s'] : bits % 1e6 === 0 ? [1e6, 'Mbit/s'] : [1e3, 'kbit/s'];
  return bits % unit === 0 && bytesPerSecond % MiB !== 0 ? `${bits / unit} ${name}` : `${showBytes(bytesPerSecond)}/s`;
}

/** `55.6 days`, `3 h 12 min`, `45 s`. */
export function showDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown';
  const seconds = ms / 1000;
  if (seconds < 60) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (seconds < 2 * 86400) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

/** `12,345`. */
export function showCount(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}
