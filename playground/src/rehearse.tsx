import { useEffect } from 'preact/hooks'
import type { Backend } from './backend'

/** Who may be made to meet errors, and who is: the buttons are at each error of the explorer. */
export function Rehearse({ backend }: { backend: Backend }) {
  const { clientId, clientSecret, rehearsals, trouble } = backend
  useEffect(() => {
    void backend.look()
    const timer = setInterval(() => {
      if (rehearsals.value.length > 0) void backend.look()
    }, 2000)
    return () => clearInterval(timer)
  }, [backend])
  return (
    <section class="set-up rehearse" aria-labelledby="rehearse">
      <h2 id="rehearse">Rehearse an error</h2>
      <p>
        Open an error below and choose who is to meet it: the server lets that user’s next fitting situation end with it, once. This
        needs the credentials of the app’s backend, and a server that allows rehearsals, as <code>stoa dev</code> does.
      </p>
      <div class="credentials">
        <label class="field inline">
          <span>Client ID</span>
          <input value={clientId.value} onInput={(e) => (clientId.value = e.currentTarget.value.trim())} spellcheck={false} autocomplete="off" />
        </label>
        <label class="field inline">
          <span>Client secret</span>
          <input
            type="password"
            value={clientSecret.value}
            onInput={(e) => (clientSecret.value = e.currentTarget.value.trim())}
            autocomplete="off"
          />
        </label>
      </div>
      <div role="status">
        {trouble.value !== '' && <p class="trouble">{trouble.value}</p>}
        {rehearsals.value.length === 0 ? (
          <p>Nobody rehearses anything.</p>
        ) : (
          <ul>
            {rehearsals.value.map((r) => (
              <li key={r.id}>
                <b>{r.user}</b> is to meet {r.fault ?? `${r.code} ${r.name}`}
                {r.met > 0 && `, and has ${r.met} times`}
              </li>
            ))}
          </ul>
        )}
      </div>
      {rehearsals.value.length > 0 && (
        <button type="button" onClick={() => void backend.stopAll()}>
          Stop all
        </button>
      )}
    </section>
  )
}
