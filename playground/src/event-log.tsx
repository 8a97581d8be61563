import { useLayoutEffect, useRef } from 'preact/hooks'
import { lookUp } from './catalogue'
import { events } from './events'
import type { Entry, Failure, Note } from './log'
import { List, Name, Prose } from './prose'
import type { Session } from './session'

export function EventLog({ session }: { session: Session }) {
  const entries = session.log.value
  const list = useFollow<HTMLDivElement>(entries)
  const heading = `log-${session.side}`
  return (
    <div class="log">
      <div class="log-head">
        <h3 id={heading}>Events of {session.user.value || 'nobody'}</h3>
        <button type="button" class="quiet" disabled={entries.length === 0} onClick={() => (session.log.value = [])}>
          Clear
        </button>
      </div>
      <div ref={list} class="entries" role="log" aria-labelledby={heading} tabIndex={0}>
        {entries.length === 0 && <p class="nothing">What the SDK tells this user is written down here, in the margin.</p>}
        <ol>
          {entries.map((entry) => (
            <li key={entry.id}>{entry.kind === 'failure' ? <Plaque failure={entry} /> : <Line note={entry} />}</li>
          ))}
        </ol>
      </div>
    </div>
  )
}

function Line({ note }: { note: Note }) {
  const line = (
    <>
      <Time at={note.at} />
      <span>
        <span class="name">
          {note.name}
          {note.kind === 'call' && <span> resolved</span>}
        </span>
        <span class="meaning">{events[note.name] ?? digest(note.payload)}</span>
      </span>
    </>
  )
  if (note.payload === undefined) return <p class={`line ${note.kind}`}>{line}</p>
  return (
    <details>
      <summary class={`line ${note.kind}`}>{line}</summary>
      <Json of={note.payload} />
    </details>
  )
}

/** An error with what the catalogue knows of it. */
function Plaque({ failure }: { failure: Failure }) {
  const entry = failure.code === undefined ? undefined : lookUp(failure.code)
  return (
    <article class="plaque" data-code={failure.code}>
      <header>
        <strong class="code">{failure.code ?? '–'}</strong>
        <Time at={failure.at} />
      </header>
      <Name>{entry?.name ?? (failure.code === undefined ? 'An error without a code' : 'Not in the catalogue')}</Name>
      <p class="summary">
        <Prose>{entry?.summary ?? failure.message}</Prose>
      </p>
      <dl>
        {entry && <List label="Cause" items={entry.causes} />}
        {entry && <List label="Remedy" items={entry.remedies} />}
        {entry && failure.message && (
          <div class="why">
            <dt>In the SDK’s words</dt>
            <dd>{failure.message}</dd>
          </div>
        )}
        <div class="why">
          <dt>Reached the app as</dt>
          <dd>{failure.ways.join(', ')}</dd>
        </div>
      </dl>
      {failure.payload !== undefined && (
        <details>
          <summary>payload</summary>
          <Json of={failure.payload} />
        </details>
      )}
    </article>
  )
}

function Json({ of }: { of: unknown }) {
  return <pre tabIndex={0}>{JSON.stringify(of, null, 2)}</pre>
}

function Time({ at }: { at: Date }) {
  return <time dateTime={at.toISOString()}>{at.toLocaleTimeString('en-GB')}</time>
}

function digest(payload: any): string {
  if (payload?.serverMsgId) return `The server’s id is ${payload.serverMsgId}.`
  if (payload?.duration) return `The token lives ${payload.duration} seconds.`
  return 'Done.'
}

/** Keeps the newest item of a list in view, by its top if it is a tall one, unless somebody has scrolled up to read. */
export function useFollow<E extends HTMLElement>(content: unknown) {
  const ref = useRef<E>(null)
  const follows = useRef(true)
  const put = useRef(0)
  useLayoutEffect(() => {
    const box = ref.current!
    const listen = () => {
      const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40
      follows.current = atEnd || Math.abs(box.scrollTop - put.current) < 2
    }
    box.addEventListener('scroll', listen, { passive: true })
    return () => box.removeEventListener('scroll', listen)
  }, [])
  useLayoutEffect(() => {
    const box = ref.current!
    const newest = box.querySelector<HTMLElement>('ol > :last-child')
    if (!follows.current || !newest) return
    box.scrollTop += newest.getBoundingClientRect().top - box.getBoundingClientRect().top
    put.current = box.scrollTop
  }, [content])
  return ref
}
