import { useState } from 'preact/hooks'
import { type CatalogueEntry, catalogue, search } from './catalogue'
import { List, Name, Prose } from './prose'

/** What each kind of error asks of the app. */
const actions: Record<string, string> = {
  none: 'Nothing to do',
  fix_call: 'Correct the call',
  fix_credentials: 'Correct the credentials',
  fix_app: 'Correct the app',
  log_in: 'Log in again',
  renew_token: 'Renew the token',
  wait_reconnect: 'Wait for the reconnect',
  retry_later: 'Try again later',
  ask_people: 'Ask the owner or the other user',
  ask_operator: 'Ask the operator',
  read_message: 'Read the message',
  report: 'Report it',
  stop: 'Stop here',
}

interface Rehearsing {
  /** Who may be chosen. */
  users: string[]
  rehearse(user: string, code: number): void
}

export function Explorer({ users, rehearse }: Rehearsing) {
  const [query, setQuery] = useState('')
  const found = search(query)
  return (
    <section class="explorer" aria-labelledby="explorer">
      <div class="explorer-head">
        <h2 id="explorer">Every error</h2>
        <p role="status">
          {found.length} of {catalogue.length}
        </p>
        <label class="field inline">
          <span>Search</span>
          <input
            type="search"
            value={query}
            onInput={(e) => setQuery(e.currentTarget.value)}
            placeholder="A number, a name or a word: 221, muted, token"
          />
        </label>
      </div>
      <ul>
        {found.map((entry) => (
          <li key={entry.name}>
            <Item entry={entry} users={users} rehearse={rehearse} />
          </li>
        ))}
      </ul>
    </section>
  )
}

function Item({ entry, users, rehearse }: { entry: CatalogueEntry } & Rehearsing) {
  return (
    <details class="item">
      <summary>
        <span class="code">{entry.code}</span>
        <span class="summary">
          <Prose>{entry.summary}</Prose>
        </span>
        <Name>{entry.name}</Name>
      </summary>
      <dl>
        <List label="Cause" items={entry.causes} />
        <List label="Remedy" items={entry.remedies} />
        <List label="What to do" items={[actions[entry.client_action] ?? entry.client_action]} />
        <List label="In the web SDK" items={[entry.web_sdk_surface]} />
        {entry.note && <List label="Note" items={[entry.note]} />}
        {entry.alone && <List label="How to meet it" items={[entry.alone.how, `web: \`${entry.alone.web}\``, `Go: \`${entry.alone.go}\``]} />}
      </dl>
      <p>
        <a href={`errors/${entry.code === 0 ? entry.name : entry.code}`}>The whole page of {entry.code}</a>
      </p>
      {!entry.alone && (
        <p class="rehearse-for">
          Rehearse {entry.code} for{' '}
          {users.map((user) => (
            <button key={user} type="button" onClick={() => rehearse(user, entry.code)}>
              {user}
            </button>
          ))}
        </p>
      )}
    </details>
  )
}
