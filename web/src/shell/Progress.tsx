// How much of it has passed; the words stand beside it.
export function Progress({ done, of }: { done: number; of: number }) {
  return (
    <span class="progress" aria-hidden="true">
      <i style={{ width: `${of === 0 ? 0 : (100 * done) / of}%` }} />
    </span>
  );
}
