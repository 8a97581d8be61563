// What a pane tells: calls that were answered, events, and errors.

export interface Note {
  kind: 'call' | 'event'
  id: number
  at: Date
  name: string
  payload: unknown
}

/** One error, however many ways it reached the page: a refused login comes as a rejection and as two events. */
export interface Failure {
  kind: 'failure'
  id: number
  at: Date
  /** Undefined if the SDK threw something that has no code. */
  code: number | undefined
  /** The words of the SDK or of the server. */
  message: string
  ways: string[]
  payload: unknown
}

export type Entry = Note | Failure

let lastId = 0

/** A page that stays open for days forgets what is older than this many entries. */
const limit = 500

export function withNote(log: Entry[], kind: Note['kind'], name: string, payload: unknown): Entry[] {
  return [...log.slice(-limit), { kind, id: ++lastId, at: new Date(), name, payload: harmless(payload) }]
}

/** Errors of one code within this many milliseconds are one error. */
const together = 3000

export function withFailure(log: Entry[], way: string, error: unknown): Entry[] {
  const { code, message } = read(error)
  const at = new Date()
  const known = log.findLast(
    (entry): entry is Failure =>
      entry.kind === 'failure' &&
      entry.code === code &&
      !entry.ways.includes(way) &&
      at.getTime() - entry.at.getTime() < together,
  )
  if (known) {
    return log.map((entry) => (entry === known ? { ...known, ways: [...known.ways, way] } : entry))
  }
  return [...log.slice(-limit), { kind: 'failure', id: ++lastId, at, code, message, ways: [way], payload: harmless(error) }]
}

/** The SDK's errors carry the code in `type`, and the words in `message` or, for a muted member, in `reason`. */
export function read(error: unknown): { code: number | undefined; message: string } {
  const { type, message, reason } = (error ?? {}) as Record<string, unknown>
  return {
    code: typeof type === 'number' ? type : undefined,
    message: String(message ?? reason ?? (error === undefined ? '' : error)),
  }
}

const secret = new Set(['accessToken', 'access_token', 'pwd', 'password', 'token'])

/** A copy that can be shown: no secrets, no browser objects, and not what the app may change later. */
function harmless(value: unknown): unknown {
  if (value instanceof Error) value = { ...value, message: value.message }
  if (value === undefined) return undefined
  return JSON.parse(
    JSON.stringify(value, (key, inner) => {
      if (secret.has(key) && typeof inner === 'string') return '(not shown)'
      if (inner instanceof EventTarget || typeof inner === 'function') return undefined
      return inner
    }),
  )
}
