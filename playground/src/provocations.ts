// Errors that a client can provoke by itself. Each is the real thing: the call is made and the server answers it.
import AC from 'agora-chat'
import type { Session } from './session'

export interface Provocation {
  code: number
  label: string
  /** Whether it needs the session of the pane. */
  online: boolean
  run(session: Session, peer: string): Promise<void>
}

const text = (to: string, msg: string) => AC.message.create({ chatType: 'singleChat', type: 'txt', to, msg })

export const provocations: Provocation[] = [
  {
    code: 1,
    label: 'wrong password',
    online: false,
    run: (session) => session.provokeApart('open()', (c) => c.open({ user: session.user.value, pwd: 'not the password' })),
  },
  {
    code: 28,
    label: 'garbage token',
    online: false,
    run: (session) => session.provokeApart('open()', (c) => c.open({ user: session.user.value, accessToken: 'garbage' })),
  },
  {
    code: 39,
    label: 'send before login',
    online: false,
    run: (session, peer) => session.provokeApart('send()', (c) => c.send(text(peer, 'Too early.'))),
  },
  {
    code: 204,
    label: 'unknown receiver',
    online: true,
    run: (session) => session.provoke('send()', (c) => c.send(text('nobody-of-this-name', 'Is anybody there?'))),
  },
  {
    code: 511,
    label: 'message too large',
    online: true,
    run: (session, peer) => session.provoke('send()', (c) => c.send(text(peer, 'long '.repeat(1200)))),
  },
  {
    code: 208,
    label: 'second login',
    online: true,
    run: (session) => session.provoke('open()', (c) => c.open({ user: session.user.value, pwd: 'never looked at' })),
  },
]
