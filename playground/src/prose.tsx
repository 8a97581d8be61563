/** Text of the catalogue, where backticks mark code. */
export function Prose({ children }: { children: string }) {
  return <>{children.split('`').map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>
}

/** A name in capitals that may break at its underscores. */
export function Name({ children }: { children: string }) {
  return (
    <span class="name">
      {children.split('_').map((part, i) => (i === 0 ? part : [<wbr key={i} />, `_${part}`]))}
    </span>
  )
}

export function List({ label, items }: { label: string; items: string[] }) {
  return (
    <div class="why">
      <dt>{label}</dt>
      {items.map((item) => (
        <dd key={item}>
          <Prose>{item}</Prose>
        </dd>
      ))}
    </div>
  )
}
