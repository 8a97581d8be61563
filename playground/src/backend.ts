// The app's backend, as far as the page plays it: it rehearses errors (docs/rehearsal.md).
import { signal } from '@preact/signals'
import { addresses } from './session'

export interface Rehearsal {
  id: string
  user: string
  code?: number
  name?: string
  fault?: string
  times?: number
  ends?: number
  met: number
}

export class Backend {
  readonly clientId = signal('')
  readonly clientSecret = signal('')
  /** Those that are not over, as last asked. */
  readonly rehearsals = signal<Rehearsal[]>([])
  /** What went wrong with the last call; empty: nothing. */
  readonly trouble = signal('')

  #token: Promise<string> | undefined

  constructor(readonly appKey: () => string) {}

  /** Makes the next fitting situation of a user end with a code. */
  rehearse(user: string, code: number): Promise<void> {
    return this.#change('POST', '', { user, code })
  }

  stopAll(): Promise<void> {
    return this.#change('DELETE', '')
  }

  /** Asks which rehearsals there are. The outcome is seen in the signals; this promise does not reject. */
  async look(): Promise<void> {
    if (this.clientId.value === '') return
    await this.#attempt(async () => {
      this.rehearsals.value = (await this.#call('GET', '/rehearsals')).data
    })
  }

  async #change(method: string, path: string, body?: unknown): Promise<void> {
    await this.#attempt(async () => {
      await this.#call(method, `/rehearsals${path}`, body)
    })
    if (this.trouble.value === '') await this.look()
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.trouble.value = ''
    } catch (error) {
      this.#token = undefined // it may have been for other credentials
      this.trouble.value = String(error instanceof Error ? error.message : error)
    }
  }

  async #call(method: string, path: string, body?: unknown): Promise<any> {
    this.#token ??= this.#request('POST', '/token', {
      grant_type: 'client_credentials',
      client_id: this.clientId.value,
      client_secret: this.clientSecret.value,
    }).then((answer) => answer.access_token)
    return this.#request(method, path, body, await this.#token)
  }

  async #request(method: string, path: string, body?: unknown, token?: string): Promise<any> {
    const answer = await fetch(`${addresses.apiUrl}/${this.appKey().replace('#', '/')}${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const content = await answer.json()
    if (!answer.ok) throw new Error(content.error_description ?? answer.statusText)
    return content
  }
}
