// One user of the page: an SDK connection, and what is known of it as signals.
import AC, { type AgoraChat } from 'agora-chat'
import { signal } from '@preact/signals'
import { events } from './events'
import { type Entry, read, withFailure, withNote } from './log'

export type State = 'offline' | 'connecting' | 'online' | 'reconnecting'
export type Credential = 'password' | 'token'

/** How far a message of one's own has come. */
export type Progress = 'sending' | 'sent' | 'delivered' | 'read' | 'failed'
const steps: Progress[] = ['sending', 'sent', 'delivered', 'read']

export interface Message {
  /** The client's id, or the server's id for a message that came in. */
  key: string
  serverId: string
  mine: boolean
  from: string
  text: string
  at: Date
  /** For one's own messages. */
  progress?: Progress
  /** The code of a message that failed. */
  code?: number
}

AC.logger.disableAll()

/** The same device after a reload, another one in another tab: two tabs must not be taken for one device. */
function deviceId(side: string): string {
  const key = `stoa-playground-device-${side}`
  const id = sessionStorage.getItem(key) ?? `playground-${side}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`
  sessionStorage.setItem(key, id)
  return id
}

export class Session {
  readonly user = signal('')
  readonly state = signal<State>('offline')
  readonly messages = signal<Message[]>([])
  readonly log = signal<Entry[]>([])

  #connection: AgoraChat.Connection | undefined
  /** Receipts whose message has no server id yet, because they overtook the answer to send(). */
  #early = new Map<string, Progress>()

  constructor(
    readonly side: 'left' | 'right',
    readonly appKey: () => string,
  ) {}

  /** Logs in. The outcome is seen in state and log; this promise does not reject. */
  async open(credential: Credential, secret: string): Promise<void> {
    this.close()
    this.state.value = 'connecting'
    let connection: AgoraChat.Connection | undefined
    try {
      this.#connection = connection = this.#client(deviceId(this.side))
      const user = this.user.value
      this.#note('call', 'open()', await connection.open(credential === 'token' ? { user, accessToken: secret } : { user, pwd: secret }))
    } catch (error) {
      this.#fail(connection ? 'open() rejected' : 'new connection() threw', error)
      if (this.#connection === connection) this.state.value = 'offline'
    }
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
    this.state.value = 'offline'
  }

  async send(to: string, text: string): Promise<void> {
    const message = AC.message.create({ chatType: 'singleChat', type: 'txt', to, msg: text })
    this.messages.value = [
      ...this.messages.value,
      { key: message.id, serverId: '', mine: true, from: this.user.value, text, at: new Date(), progress: 'sending' },
    ]
    try {
      const result = await this.#connection!.send(message)
      this.#note('call', 'send()', result)
      this.#change((m) => m.key === message.id, { serverId: result.serverMsgId })
      this.#advance(result.serverMsgId, this.#early.get(result.serverMsgId) ?? 'sent')
    } catch (error) {
      this.#fail('send() rejected', error)
      this.#change((m) => m.key === message.id, { progress: 'failed', code: read(error).code })
    }
  }

  /** Tells the sender that the message was seen. */
  async markRead(message: Message): Promise<void> {
    const receipt = AC.message.create({ type: 'read', chatType: 'singleChat', to: message.from, id: message.serverId })
    try {
      await this.#connection?.send(receipt)
    } catch (error) {
      this.#fail('send() rejected', error)
    }
  }

  /** Runs a call that is meant to go wrong, with the connection of this session, and shows what comes of it. */
  async provoke(name: string, call: (connection: AgoraChat.Connection) => Promise<unknown>): Promise<void> {
    await this.#attempt(name, this.#connection!, call)
  }

  /** The same with a second client of this user, which leaves the session alone. */
  async provokeApart(name: string, call: (connection: AgoraChat.Connection) => Promise<unknown>): Promise<void> {
    try {
      await this.#attempt(name, this.#client(`playground-${this.side}-rehearsal`), call)
    } catch (error) {
      this.#fail('new connection() threw', error)
    }
  }

  async #attempt(
    name: string,
    connection: AgoraChat.Connection,
    call: (connection: AgoraChat.Connection) => Promise<unknown>,
  ): Promise<void> {
    try {
      this.#note('call', name, await call(connection))
      if (connection !== this.#connection) connection.close()
    } catch (error) {
      this.#fail(`${name} rejected`, error)
    }
  }

  /** A client of this server, as the page's own text shows it, whose events go to the log. */
  #client(deviceId: string): AgoraChat.Connection {
    const connection = new AC.connection({
      appKey: this.appKey(),
      isHttpDNS: false,
      ...addresses,
      delivery: true,
      isFixedDeviceId: false,
      deviceId,
    })
    const handlers = Object.keys(events).map((name) => [name, (payload: unknown) => this.#hear(connection, name, payload)])
    connection.addEventHandler('playground', Object.fromEntries(handlers))
    return connection
  }

  #hear(connection: AgoraChat.Connection, name: string, payload: any): void {
    this.#note('event', name, payload)
    if (connection !== this.#connection) return
    switch (name) {
      case 'onConnected':
        this.state.value = 'online'
        break
      case 'onReconnecting':
        this.state.value = 'reconnecting'
        break
      case 'onDisconnected':
        this.state.value = 'offline'
        break
      case 'onTextMessage':
        this.#receive(payload)
        break
      case 'onReceivedMessage':
        this.#change((m) => m.key === payload.id, { serverId: payload.mid })
        break
      case 'onDeliveredMessage':
        this.#advance(payload.mid, 'delivered')
        break
      case 'onReadMessage':
        this.#advance(payload.mid, 'read')
        break
    }
  }

  #receive({ id, from, msg, time }: AgoraChat.TextMsgBody): void {
    if (this.messages.value.some((m) => m.serverId === id)) return
    const mine = from === this.user.value // sent from another device of this user
    this.messages.value = [
      ...this.messages.value,
      { key: id, serverId: id, mine, from: from ?? '', text: msg, at: new Date(time), progress: mine ? 'sent' : undefined },
    ]
  }

  #advance(serverId: string, to: Progress): void {
    const message = this.messages.value.find((m) => m.serverId === serverId && m.mine)
    if (!message) {
      this.#early.set(serverId, to)
    } else if (steps.indexOf(to) > steps.indexOf(message.progress!)) {
      this.#change((m) => m === message, { progress: to })
    }
  }

  #change(which: (message: Message) => boolean, change: Partial<Message>): void {
    this.messages.value = this.messages.value.map((m) => (which(m) ? { ...m, ...change } : m))
  }

  #note(kind: 'call' | 'event', name: string, payload: unknown): void {
    const isError = name === 'onError' || (name === 'onDisconnected' && payload !== undefined)
    if (isError) this.#fail(name, payload)
    else this.log.value = withNote(this.log.value, kind, name, payload)
  }

  #fail(way: string, error: unknown): void {
    this.log.value = withFailure(this.log.value, way, error)
  }
}

/** Where the server is: it serves this page too. */
export const addresses = {
  url: `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws`,
  apiUrl: location.origin,
}
