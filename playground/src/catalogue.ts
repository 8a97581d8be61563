// The error catalogue of the server, built into the page.
import codes from '../../errcode/error-codes.json'

export interface CatalogueEntry {
  code: number
  name: string
  summary: string
  causes: string[]
  remedies: string[]
  client_action: string
  web_sdk_surface: string
  raised_by_current_web_sdk: boolean
  note?: string
  /** How to meet a code that no server can make a client raise. */
  alone?: { how: string; go: string; web: string }
}

export const catalogue: CatalogueEntry[] = codes.toSorted((a, b) => a.code - b.code)

/** The entry of a code that reached the page as an error. Two entries share the number 0; only one of them is an error. */
export function lookUp(code: number): CatalogueEntry | undefined {
  return catalogue.find((entry) => entry.code === code && entry.name !== 'REQUEST_SUCCESS')
}

/** Entries that hold every word of the query; a number finds the codes that begin with it, before all others. */
export function search(query: string): CatalogueEntry[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const found = catalogue.filter((entry) => {
    const text = [entry.code, entry.name, entry.summary, ...entry.causes, ...entry.remedies].join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const isMeant = (entry: CatalogueEntry) => words.some((word) => String(entry.code).startsWith(word))
  return found.toSorted((a, b) => Number(isMeant(b)) - Number(isMeant(a)))
}
