import { effect, signal } from '@preact/signals'
import { Backend } from './backend'
import { Explorer } from './explorer'
import { Pane } from './pane'
import { Rehearse } from './rehearse'
import { addresses, Session } from './session'

/** What `stoa dev` starts with. */
const demo = { appKey: 'stoa#demo', users: ['alice', 'bob'], password: 'stoa', clientId: 'stoa-demo-id', clientSecret: 'stoa-demo-secret' }

// The app key and the users come back after a reload; passwords and tokens are kept nowhere.
const remembered = JSON.parse(localStorage.getItem('stoa-playground') ?? '{}')
const appKey = signal<string>(remembered.appKey ?? demo.appKey)
const left = new Session('left', () => appKey.value)
const right = new Session('right', () => appKey.value)
left.user.value = remembered.users?.[0] ?? demo.users[0]
right.user.value = remembered.users?.[1] ?? demo.users[1]
const backend = new Backend(() => appKey.value)
const isDemo = appKey.value === demo.appKey
const password = isDemo ? demo.password : ''
backend.clientId.value = isDemo ? demo.clientId : ''
backend.clientSecret.value = isDemo ? demo.clientSecret : ''

effect(() => {
  const users = [left.user.value, right.user.value]
  localStorage.setItem('stoa-playground', JSON.stringify({ appKey: appKey.value, users }))
})

export function App() {
  const busy = left.state.value !== 'offline' || right.state.value !== 'offline'
  return (
    <>
      <header class="masthead">
        <h1>
          <Colonnade />
          Stoa <span>playground</span>
        </h1>
        <p>
          Two users, one page. Both speak through npm’s unmodified <code>agora-chat</code> 1.4.0 to the server that you got this
          page from.
        </p>
        <label class="field inline app-key">
          <span>App key</span>
          <input
            value={appKey.value}
            onInput={(e) => (appKey.value = e.currentTarget.value.trim())}
            disabled={busy}
            title={busy ? 'Disconnect both users to change the app key' : undefined}
            spellcheck={false}
            autocomplete="off"
          />
        </label>
      </header>

      <main>
        <div class="panes">
          <Pane session={left} peer={right} password={password} />
          <Pane session={right} peer={left} password={password} />
        </div>
        <div class="below">
          <div>
            <SetUp />
            <Rehearse backend={backend} />
          </div>
          <Explorer users={[left.user.value, right.user.value]} rehearse={(user, code) => void backend.rehearse(user, code)} />
        </div>
      </main>
      <footer>
        <a href="licences.txt">Licences</a> of what this page is made of.
      </footer>
    </>
  )
}

function SetUp() {
  return (
    <section class="set-up" aria-labelledby="set-up">
      <h2 id="set-up">The whole set-up</h2>
      <p>Nothing here is made for Stoa. Any app of the Agora Chat web SDK becomes a client of this server with these options:</p>
      <pre>
        <code>
          {`import AC from 'agora-chat'

const connection = new AC.connection({
  appKey: '${appKey.value}',
  isHttpDNS: false,
  url: '${addresses.url}',
  apiUrl: '${addresses.apiUrl}',
})`}
        </code>
      </pre>
      <p>
        This page adds <code>delivery: true</code> for delivery receipts, and a <code>deviceId</code> for each side with{' '}
        <code>isFixedDeviceId: false</code>, because two clients in one page would otherwise be one device.
      </p>
    </section>
  )
}

function Colonnade() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <path d="M5 6h22l3.5 5v2h-29v-2zM3.5 15h3v9h-3zm7.33 0h3v9h-3zm7.34 0h3v9h-3zm7.33 0h3v9h-3zM1.5 26h29v2.5h-29z" />
    </svg>
  )
}
