/* A list of any length is as quick as a short one, an open tab does not grow, and a status never goes back. */
import type { Browser, Page } from '@playwright/test'
import { choose, expect, row, test } from './fixtures'

// the test runner's own recording would be measured too
test.use({ trace: 'off' })

/* Of how many elements the style was worked out anew, each time that it was while something happens. How long that takes is the bench's
 * matter; that it is few elements is what keeps it short. */
async function restyled(browser: Browser, page: Page, happens: () => Promise<void>): Promise<number[]> {
  await browser.startTracing(page, { categories: ['devtools.timeline'] })
  await happens()
  await page.evaluate(() => console.timeStamp('the end'))
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString())
  // it is not cut off
  expect(traceEvents.some(({ name, args }: any) => name === 'TimeStamp' && args.data.message === 'the end')).toBe(true)
  return traceEvents.filter(({ name, args }: any) => name === 'UpdateLayoutTree' && args.elementCount).map(({ args }: any) => args.elementCount)
}

/* Waits until the page was scrolled away from a place, and until the whole screen is rows; then checks that each is the one that belongs
 * there and has its content. The number of the first. */
async function rowsOnScreen(page: Page, from = -1): Promise<number> {
  const handle = await page.waitForFunction((from) => {
    const rect = (id: string) => document.getElementById(id)!.getBoundingClientRect()
    const [above, below, rows] = [rect('above'), rect('below'), document.getElementById('rows')!]
    const isCovered = above.bottom <= Math.max(0, above.top) + 1 && below.top >= Math.min(innerHeight, below.bottom) - 1
    if (scrollY === from || !isCovered) return false
    return [...rows.children].flatMap((row, place) => {
      const rect = row.getBoundingClientRect()
      if (rect.bottom <= 0 || rect.top >= innerHeight) return []
      const text = (part: string) => row.querySelector(part)!.textContent!.trim()
      const number = Number(rows.dataset.from) + place
      return { number, byPlace: Math.round((rect.top - above.top) / rect.height), name: text('.name'), word: text('.c-status [data-word]'), vmid: text('.c-id') }
    })
  }, from)
  const seen = (await handle.jsonValue()) as { number: number }[]
  expect(seen.length).toBeGreaterThan(5)
  const wanted = seen.map((_, place) => {
    const number = seen[0].number + place
    return { number, byPlace: number, name: `ct${String(number).padStart(5, '0')}`, word: number % 2 ? 'Stopped' : 'Running', vmid: String(100 + number) }
  })
  expect(seen).toEqual(wanted)
  return seen[0].number
}

test.describe('10,000 containers', () => {
  test.use({ containers: 10_000, speed: 1 })

  test('are scrolled from the first to the last by wheel and by keyboard, a part at a time, and every row shows', async ({ page, berth, browser }) => {
    test.setTimeout(120_000)
    await berth.signIn(page)
    // at first sight every container gets a row of ours, and the page comes before that is done
    await expect(row(page, 'ct00000')).toBeVisible({ timeout: 30_000 })
    // who has chosen rows has a word for it at the root, which every rule for cards looks at
    await page.getByRole('button', { name: 'Rows', exact: true }).click()
    const elements = await page.locator('#rows tr').first().locator('*').count()
    // in rows; a beat that changes all of them may fall among it
    const usual = (counts: number[]) => counts.sort((a, b) => a - b)[Math.floor(counts.length * 0.9)] / elements
    const toBottom = () => page.evaluate(() => document.documentElement.scrollHeight - innerHeight - scrollY)
    const scroll = async (by: number) => {
      const from = await page.evaluate(() => scrollY)
      await page.mouse.wheel(0, by)
      await rowsOnScreen(page, from)
    }
    // a note above the list may come meanwhile, and moves where the end is
    const press = (key: string, left: () => Promise<number>) =>
      expect.poll(async () => (await page.keyboard.press(key), await left()), { timeout: 20_000, intervals: [500] }).toBeLessThanOrEqual(1)
    await page.mouse.move(600, 500)
    expect(await rowsOnScreen(page)).toBe(0)
    // row by row at first, then by far more than there is beyond the screen
    const small = await restyled(browser, page, async () => {
      for (let turn = 0; turn < 20; turn++) {
        await scroll(300)
      }
    })
    const large = await restyled(browser, page, async () => {
      for (let turn = 0; turn < 10; turn++) {
        await scroll(8000)
      }
    })
    while ((await toBottom()) > 1) {
      await scroll(8000)
    }
    await expect(row(page, 'ct09999')).toBeInViewport()
    await press('Home', () => page.evaluate(() => scrollY))
    expect(await rowsOnScreen(page)).toBe(0)
    // the focus goes from row to row
    const focus = async (first: number, last: number) => {
      for (let number = first; number < last; number++) {
        await page.keyboard.press('ArrowDown')
        expect(await page.evaluate(() => document.activeElement?.textContent)).toBe(`ct${String(number).padStart(5, '0')}`)
      }
    }
    await focus(0, 2)
    const keys = await restyled(browser, page, () => focus(2, 12))
    await focus(12, 60)
    await rowsOnScreen(page)
    // a key that is held goes on and on
    for (let press = 1; press <= 40; press++) {
      await page.keyboard.press('PageDown')
      if (press % 10 === 0) await rowsOnScreen(page)
    }
    await press('End', toBottom)
    await expect(row(page, 'ct09999')).toBeInViewport()
    await rowsOnScreen(page)
    expect(usual(keys)).toBeLessThan(3)
    expect(usual(small)).toBeLessThan(30)
    expect(usual(large)).toBeLessThan(30)
    // what measures it sees it where the whole page is styled anew
    const all = await restyled(browser, page, () => page.getByRole('button', { name: 'Cards', exact: true }).click())
    expect(Math.max(...all) / elements).toBeGreaterThan(40)
  })
})

test.describe('300 containers as cards', () => {
  test.use({ containers: 300, speed: 1 })

  test('are scrolled from the first to the last, and stand in their order, several in a line', async ({ page, berth }) => {
    await berth.signIn(page)
    await page.getByRole('button', { name: 'Cards', exact: true }).click()
    await page.mouse.move(700, 600)
    const seen = new Set<string>()
    const look = async (from = -1) => {
      const handle = await page.waitForFunction((from) => {
        if (scrollY === from) return false
        const rows = document.getElementById('rows')!
        const rect = (id: string) => document.getElementById(id)!.getBoundingClientRect()
        // no room where cards are to be
        if (rect('above').bottom > 0 && rect('above').height > 1) return false
        if (rect('below').top < innerHeight && rect('below').height > 1) return false
        const cards = [...rows.children].map((card) => ({ name: card.querySelector('.name')!.textContent!, rect: card.getBoundingClientRect() }))
        return cards.filter(({ rect }) => rect.bottom > 0 && rect.top < innerHeight).map(({ name, rect }) => ({ name, x: rect.x, y: rect.y }))
      }, from)
      const cards = (await handle.jsonValue()) as { name: string; x: number; y: number }[]
      expect(cards.length).toBeGreaterThan(8)
      // by lines, and in each from the left
      const inOrder = [...cards].sort((a, b) => a.y - b.y || a.x - b.x)
      expect(inOrder).toEqual(cards)
      const first = Number(cards[0].name.slice(2))
      expect(cards.map((card) => Number(card.name.slice(2)))).toEqual(cards.map((_, place) => first + place))
      cards.forEach((card) => seen.add(card.name))
    }
    await look()
    const lines = await page.locator('#rows tr').evaluateAll((cards) => cards.map((card) => card.getBoundingClientRect().top))
    const columns = lines.filter((top) => top === lines[0]).length
    expect(columns).toBeGreaterThan(1)
    // the arrows know the lines
    await row(page, 'ct00000').getByRole('link', { name: 'ct00000', exact: true }).focus()
    await page.keyboard.press('ArrowRight')
    await expect(page.getByRole('link', { name: 'ct00001', exact: true })).toBeFocused()
    await page.keyboard.press('ArrowDown')
    await expect(page.getByRole('link', { name: `ct0000${columns + 1}`, exact: true })).toBeFocused()
    for (let turn = 0; seen.size < 300 && turn < 80; turn++) {
      const from = await page.evaluate(() => scrollY)
      await page.mouse.wheel(0, 500)
      await look(from)
    }
    expect(seen.size).toBe(300)
    await expect(row(page, 'ct00299')).toBeInViewport()
  })
})

test.describe('a tab that stays open', () => {
  test.use({ containers: 100, speed: 1 })

  test('has as much memory after 360 beats as after 36, with a fifth of its rows changing on each', async ({ page, berth }) => {
    test.setTimeout(90_000)
    await page.addInitScript(() => {
      const own = window as any
      const { instantiate, instantiateStreaming } = WebAssembly as any
      const keep = (made: any) => ((own.memory = (made.instance ?? made).exports.memory), made)
      WebAssembly.instantiate = (...given: any[]) => instantiate(...given).then(keep)
      WebAssembly.instantiateStreaming = (...given: any[]) => instantiateStreaming(...given).then(keep)
      own.EventSource = class extends EventSource {
        constructor(url: string) {
          super(url)
          own.stream = this
        }
      }
    })
    await berth.signIn(page)
    // the server's own rows of two beats, between which the figures of all that run have moved
    const ask = async () => (await page.request.get(`${berth.url}/api/get_page?address=${encodeURIComponent('/?from=0&count=100')}`)).json()
    const rows = (html: string) => [...html.matchAll(/<tr id="(r-\w+)" data-h="(\w+)"(.*?)<\/tr>/gs)].map(([, id, mark, rest]) => ({ id, mark, rest }))
    const first = await ask()
    await berth.cluster.send('POST', 'advance', { seconds: 600 })
    const before = rows(first.html)
    expect(before.length).toBe(100)
    let after = before
    const moved = () => before.map((row, place) => place).filter((place) => before[place].mark !== after[place].mark)
    await expect
      .poll(async () => ((after = rows((await ask()).html)), moved().length), { timeout: 20_000, intervals: [500] })
      .toBeGreaterThanOrEqual(40)
    const moving = moved()

    let beat = 0
    const marks = before.map((row) => row.mark)
    const shown = before.map(() => before)
    await page.route('**/api/get_page*', async (route) => {
      beat++
      const changed = new Set(Array.from({ length: 20 }, (_, turn) => moving[(beat * 20 + turn) % moving.length]))
      let place = 0
      const html = first.html
        .replace(/<tr id="(r-\w+)" data-h="(\w+)"(.*?)<\/tr>/gs, () => {
          const [here, { id }] = [place, before[place++]]
          // at first the browser has only a part of them
          if (!changed.has(here) && beat > 1) return `<tr id="${id}" data-h="${marks[here]}"></tr>`
          shown[here] = shown[here] === before ? after : before
          marks[here] = `${beat}x${here}`
          return `<tr id="${id}" data-h="${marks[here]}"${shown[here][here].rest}</tr>`
        })
        .replace('id="rows"', `id="rows" data-beat="${beat}"`)
      await route.fulfill({ json: { ...first, html } })
    })
    const session = await page.context().newCDPSession(page)
    await session.send('Performance.enable')
    // one collection may leave what the last answer was read into
    const memory = async () => {
      await session.send('HeapProfiler.collectGarbage')
      const { metrics } = await session.send('Performance.getMetrics')
      const metric = (name: string) => metrics.find((metric) => metric.name === name)!.value
      return { wasm: await page.evaluate(() => (window as any).memory.buffer.byteLength), nodes: metric('Nodes'), listeners: metric('JSEventListeners') }
    }
    const beats = async (beats: number) => {
      await page.evaluate(async (beats) => {
        const beat = () => Number(document.getElementById('rows')!.dataset.beat ?? 0)
        while (beat() < beats) {
          const last = beat()
          ;(window as any).stream.dispatchEvent(new MessageEvent('message', { data: 'list' }))
          while (beat() === last) await new Promise((done) => setTimeout(done, 2))
        }
      }, beats)
    }
    await beats(36)
    let early = await memory()
    for (let turn = 0; turn < 3; turn++) early = await memory()
    expect(await page.locator('#rows tr').count()).toBe(100)
    expect(early.wasm).toBeGreaterThan(0)
    await beats(360)
    let late = await memory()
    // a few come and go with what is on screen; what is kept for good never goes
    await expect.poll(async () => (late = await memory()).nodes).toBeLessThan(early.nodes * 1.05)
    expect({ wasm: late.wasm, listeners: late.listeners }).toEqual({ wasm: early.wasm, listeners: early.listeners })
    // the beats were shown and not only counted
    for (const place of [moving[0], moving.at(-1)!]) await expect(page.locator(`#${before[place].id}`)).toHaveAttribute('data-h', marks[place])
  })
})

test.describe('while samples lag and flip', () => {
  // a sample is up to ten seconds old, and the second worker sees it two seconds later
  test.use({ speed: 1 })

  test('a status never goes back on screen', async ({ page, berth }) => {
    test.setTimeout(90_000)
    await berth.signIn(page)
    const read = await berth.cluster.signIn('root@pam')
    const sampled: string[] = []
    const note = (list: string[], word: string) => list.at(-1) !== word && list.push(word)
    await page.evaluate(() => {
      const words: string[] = ((window as any).words = [])
      const look = () => {
        const word = document.querySelector('[title="web"]')?.closest('tr')?.querySelector('.c-status [data-word]')?.textContent ?? 'no row'
        if (words.at(-1) !== word) words.push(word)
      }
      look()
      new MutationObserver(look).observe(document.getElementById('page')!, { subtree: true, childList: true, characterData: true })
    })
    // Proxmox is asked again and again, by Berth too, so that answers come from both of its workers at every age of a sample
    let isOver = false
    const asking = (async () => {
      while (!isOver) {
        // both workers in turn, whoever else asks meanwhile
        for (let worker = 0; worker < 3; worker++) {
          const resources = await read('/cluster/resources')
          note(sampled, resources.find((resource: any) => resource.name === 'web').status)
        }
        await page.request.get(`${berth.url}/api/list_containers`)
        await new Promise((done) => setTimeout(done, 150))
      }
    })()
    const web = row(page, 'web')
    await web.getByRole('button', { name: 'Start web', exact: true }).click()
    await expect(web).toContainText('Running')
    // until both workers of Proxmox say so, which say otherwise in turns before that
    const agree = async (word: string) => {
      let since = Date.now()
      await expect
        .poll(() => (sampled.at(-1) === word ? Date.now() - since : ((since = Date.now()), 0)), { timeout: 40_000, intervals: [50] })
        .toBeGreaterThan(4000)
    }
    await agree('running')
    await choose(page, 'web', 'Shut down')
    await expect(web.locator('.c-status [data-word]')).toHaveText('Stopped')
    await agree('stopped')
    isOver = true
    await asking
    // Proxmox's own word did go back
    expect(sampled.length).toBeGreaterThan(3)
    expect(await page.evaluate(() => (window as any).words)).toEqual(['Stopped', 'Starting…', 'Running', 'Shutting down…', 'Stopped'])
  })
})
