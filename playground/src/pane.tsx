import { useEffect, useRef, useState } from 'preact/hooks'
import { EventLog, useFollow } from './event-log'
import { provocations } from './provocations'
import type { Credential, Message, Session } from './session'

export function Pane({ session, peer, password }: { session: Session; peer: Session; password: string }) {
  const { side } = session
  const offline = session.state.value === 'offline'
  return (
    <section class="pane" data-side={side} aria-labelledby={`user-${side}`}>
      <div class="chat">
        <header class="who">
          <span class="avatar" aria-hidden="true">
            {session.user.value.slice(0, 1) || '?'}
          </span>
          <h2 id={`user-${side}`}>{session.user.value || 'Nobody'}</h2>
          <span class="state" role="status" data-state={session.state.value}>
            {session.state.value}
          </span>
          {!offline && (
            <button type="button" class="quiet" onClick={() => session.close()}>
              Disconnect
            </button>
          )}
        </header>
        {offline && <Login session={session} password={password} />}
        <Messages session={session} />
        <Composer session={session} peer={peer.user.value} />
        <Provoke session={session} peer={peer.user.value} />
      </div>
      <EventLog session={session} />
    </section>
  )
}

function Login({ session, password }: { session: Session; password: string }) {
  const [credential, setCredential] = useState<Credential>('password')
  const [secret, setSecret] = useState(password)
  const kinds: Credential[] = ['password', 'token']
  return (
    <form
      class="login"
      autocomplete="off"
      onSubmit={(e) => {
        e.preventDefault()
        void session.open(credential, secret)
      }}
    >
      <label class="field">
        <span>User id</span>
        <input
          value={session.user.value}
          onInput={(e) => (session.user.value = e.currentTarget.value.trim())}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
        />
      </label>
      <div class="field">
        <fieldset>
          <legend class="hidden">Log in with</legend>
          {kinds.map((kind) => (
            <label key={kind}>
              <input
                type="radio"
                name={`credential-${session.side}`}
                checked={credential === kind}
                onChange={() => setCredential(kind)}
              />
              <span>{kind === 'password' ? 'Password' : 'Token'}</span>
            </label>
          ))}
        </fieldset>
        <input
          type="password"
          aria-label={credential === 'password' ? 'Password' : 'Token'}
          value={secret}
          onInput={(e) => setSecret(e.currentTarget.value)}
          autocomplete="off"
        />
      </div>
      <button type="submit" class="primary">
        Connect
      </button>
    </form>
  )
}

function Messages({ session }: { session: Session }) {
  const messages = session.messages.value
  const list = useFollow<HTMLDivElement>(messages)
  return (
    <div ref={list} class="messages" role="log" aria-label={`Messages of ${session.user.value}`} tabIndex={0}>
      {messages.length === 0 && (
        <p class="nothing">{session.state.value === 'offline' ? 'Log in to chat.' : 'No messages yet.'}</p>
      )}
      <ol>
        {messages.map((message) => (
          <Bubble key={message.key} message={message} session={session} />
        ))}
      </ol>
    </div>
  )
}

function Bubble({ message, session }: { message: Message; session: Session }) {
  const { mine, progress } = message
  const bubble = useRef<HTMLLIElement>(null)
  useEffect(() => {
    if (mine) return
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return
      seen.disconnect()
      void session.markRead(message)
    })
    seen.observe(bubble.current!)
    return () => seen.disconnect()
  }, [])
  return (
    <li ref={bubble} class="bubble" data-mine={mine} data-progress={progress}>
      <p>{message.text}</p>
      <small>
        <time dateTime={message.at.toISOString()}>{message.at.toLocaleTimeString('en-GB', { timeStyle: 'short' })}</time>
        {progress && (
          <span class="progress">
            <Ticks progress={progress} />
            {progress}
            {message.code !== undefined && ` (${message.code})`}
          </span>
        )}
        {message.serverId && <span class="id">{message.serverId}</span>}
      </small>
    </li>
  )
}

/** One tick for the server, two for the other device, filled when it was read. */
function Ticks({ progress }: { progress: string }) {
  if (progress === 'sending' || progress === 'failed') return null
  return (
    <svg viewBox="0 0 22 12" aria-hidden="true">
      <path d="m2 6.5 3.5 3.5L12 2.5" />
      {progress !== 'sent' && <path d="m9.5 9 1 1L17 2.5" />}
    </svg>
  )
}

function Composer({ session, peer }: { session: Session; peer: string }) {
  const [text, setText] = useState('')
  const state = session.state.value
  const offline = state === 'offline' || state === 'connecting'
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    // The form that had the focus is gone: whoever has just logged in wants to write.
    if (state === 'online' && document.activeElement === document.body) input.current!.focus()
  }, [state])
  return (
    <form
      class="composer"
      onSubmit={(e) => {
        e.preventDefault()
        if (!text.trim()) return
        void session.send(peer, text)
        setText('')
      }}
    >
      <input
        ref={input}
        aria-label={`Message from ${session.user.value} to ${peer}`}
        placeholder={offline ? 'Not connected' : `Message to ${peer}`}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        disabled={offline}
        autocomplete="off"
      />
      <button type="submit" class="primary" disabled={offline}>
        Send
      </button>
    </form>
  )
}

function Provoke({ session, peer }: { session: Session; peer: string }) {
  const online = session.state.value === 'online'
  const heading = `provoke-${session.side}`
  return (
    <div class="provoke" role="group" aria-labelledby={heading}>
      <h3 id={heading}>Try an error</h3>
      {provocations.map((p) => (
        <button
          key={p.code}
          type="button"
          disabled={p.online && !online}
          title={p.online && !online ? 'Connect first' : undefined}
          onClick={() => void p.run(session, peer)}
        >
          <b>{p.code}</b> {p.label}
        </button>
      ))}
    </div>
  )
}
