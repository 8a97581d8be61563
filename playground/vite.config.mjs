import { existsSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vite'

// The page is embedded into the server's binary, which serves it under this path with a content security policy that
// forbids inline code and data: addresses.
export default defineConfig({
  base: '/playground/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [licences()],
  build: {
    outDir: '../internal/console/dist',
    emptyOutDir: true, // .gitkeep comes back from public/
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800, // the chat SDK alone has 590 kB
    rolldownOptions: { checks: { eval: false } }, // the SDK's protobuf library uses it
  },
  server: {
    fs: { allow: ['..'] }, // the error catalogue
    // `npm run dev` beside `stoa dev`: everything but the page itself goes to the server.
    proxy: {
      '^/(?!playground/)': { target: process.env.STOA_URL ?? 'http://127.0.0.1:8080', ws: true },
    },
  },
})

/** Writes the licences of everything that is built in; those of the fonts ask for it. */
function licences() {
  const json = (path) => JSON.parse(readFileSync(path, 'utf8'))
  const describe = (name) => {
    const { version, license } = json(`node_modules/${name}/package.json`)
    const text = `node_modules/${name}/LICENSE`
    return `${name} ${version} (${license})\n\n${existsSync(text) ? readFileSync(text, 'utf8') : ''}`
  }
  return {
    name: 'licences',
    generateBundle() {
      const names = [...Object.keys(json('package.json').dependencies), '@preact/signals-core']
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: names.map(describe).join(`\n${'-'.repeat(80)}\n\n`) })
    },
  }
}
