/* The list as a tool: searched, sorted, walked by keyboard, and true when a part of the world is away. */
import { choose, expect, hasJavaScript, listen, row, stopBeats, test } from './fixtures'

const names = '#rows .name'

test('a search narrows the list while it is written, and its address can be kept', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.keyboard.press('/')
  await expect(page.getByLabel('Search containers')).toBeFocused()
  await page.keyboard.type('tag:monitoring status:running')
  await expect(page.locator(names)).toHaveText(['grafana', 'loki', 'prometheus'])
  await expect(page).toHaveURL(/q=tag(:|%3A)monitoring(\+|%20)status(:|%3A)running/)
  // who writes goes on writing
  await expect(page.getByLabel('Search containers')).toBeFocused()
  await page.reload()
  await expect(page.locator(names)).toHaveText(['grafana', 'loki', 'prometheus'])
  await expect(page.getByLabel('Search containers')).toHaveValue('tag:monitoring status:running')
})

test('who goes on from a search at once is not brought back to it', async ({ page, berth }) => {
  await page.clock.install()
  await berth.signIn(page)
  // time stands still from here: what is written waits for the next letter
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1000))
  await page.getByLabel('Search containers').fill('vmid:103')
  await page.keyboard.press('Enter')
  await expect(page.locator(names)).toHaveText(['web'])
  // the answer takes longer than that
  let answer = () => {}
  const isAnswered = new Promise<void>((done) => (answer = done))
  await page.route('**/api/get_page*', async (route) => (await isAnswered, await route.continue()))
  await page.getByRole('link', { name: 'Show all' }).click()
  await page.clock.runFor(1000)
  answer()
  await expect(row(page, 'db')).toBeVisible()
  await expect(page.getByLabel('Search containers')).toHaveValue('')
  await page.clock.runFor(1000)
  await page.getByLabel('Search containers').pressSequentially('vmid:104')
  await page.clock.runFor(1000)
  await expect(page.locator(names)).toHaveText(['db'])
  await page.goBack()
  await expect(page.locator(names)).toHaveText(['web'])
})

test('a search, a figure, a node, a tag and a column are links and forms @both', async ({ page, berth }) => {
  await page.setViewportSize({ width: 1440, height: 900 })
  await berth.signIn(page)
  await page.getByLabel('Search containers').fill('-tag:home vmid:103')
  await page.keyboard.press('Enter')
  await expect(page.locator(names)).toHaveText(['web'])
  await page.getByRole('link', { name: 'Show all' }).click()
  await expect(row(page, 'db')).toBeVisible()
  const figures = page.getByRole('navigation', { name: 'Containers by status' })
  await figures.getByRole('link', { name: /Unknown/ }).click()
  await expect(page.locator(names)).toHaveText(['CT 301', 'CT 302'])
  await expect(figures.getByRole('link', { name: /Unknown/ })).toHaveAttribute('aria-current', 'true')
  await figures.getByRole('link', { name: /All/ }).click()
  await row(page, 'grafana').getByRole('link', { name: 'monitoring' }).click()
  await expect(page.locator(names)).toHaveText(['grafana', 'loki', 'prometheus'])
  await page.getByRole('link', { name: 'Show all' }).click()
  await page.getByRole('columnheader', { name: 'CT', exact: true }).getByRole('link').click()
  await expect(page.getByRole('columnheader', { name: 'CT', exact: true })).toHaveAttribute('aria-sort', 'ascending')
  await expect(page.locator('#rows .c-id').first()).toHaveText('101')
  await page.getByRole('columnheader', { name: 'CT', exact: true }).getByRole('link').click()
  await expect(page.locator('#rows .c-id').first()).toHaveText('900')
  await page.getByRole('region', { name: 'Nodes' }).getByRole('link', { name: /pve2/ }).click()
  await expect(page.locator('#rows .c-node').first()).toHaveText('pve2')
  await expect(page.locator('#rows .c-node', { hasText: 'pve1' })).toHaveCount(0)
})

test('the figures add up @both', async ({ page, berth }) => {
  await berth.signIn(page)
  const texts = await page.locator('.fig b').allTextContents()
  const [all, ...parts] = texts.map(Number)
  expect(parts.reduce((sum, part) => sum + part, 0)).toBe(all)
  await expect(page.locator('#rows tr')).toHaveCount(Math.min(all, 40))
})

test('a name has room at every width, and nothing is cut off', async ({ page, berth }) => {
  await berth.signIn(page)
  for (const layout of ['Rows', 'Cards']) {
    await page.getByRole('button', { name: layout, exact: true }).click()
    for (let width = 360; width <= 3840; width += 58) {
      await page.setViewportSize({ width, height: 800 })
      const room = await page.evaluate(() => Math.min(...[...document.querySelectorAll('#rows .c-name')].map((name) => name.clientWidth)))
      expect(room, `${layout} at ${width}`).toBeGreaterThan(140)
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), `${layout} at ${width}`).toBeLessThanOrEqual(0)
    }
  }
})

test('rows or cards is a choice that the browser keeps @both', async ({ page, berth }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await berth.signIn(page)
  const corner = () => page.locator('#rows tr').first().evaluate((row) => getComputedStyle(row).borderTopLeftRadius)
  // a phone has cards where nobody has chosen
  expect(await corner()).toBe('10px')
  await page.getByRole('button', { name: 'Rows', exact: true }).click()
  await expect.poll(corner).toBe('0px')
  await page.reload()
  expect(await corner()).toBe('0px')
  await page.setViewportSize({ width: 1440, height: 900 })
  await page.getByRole('button', { name: 'Cards', exact: true }).click()
  await expect.poll(corner).toBe('10px')
  await row(page, 'web').getByRole('link', { name: 'web', exact: true }).click()
  await page.getByRole('link', { name: 'Containers' }).first().click()
  expect(await corner()).toBe('10px')
})

test.describe('where there are more than a page has', () => {
  test.use({ containers: 300 })

  test('on paper a list is its rows, and says which where they are not all @both', async ({ page, berth }) => {
    await berth.signIn(page)
    await page.getByRole('button', { name: 'Cards', exact: true }).click()
    await expect.poll(() => page.locator('html').getAttribute('data-layout')).toBe('cards')
    await page.emulateMedia({ media: 'print' })
    for (const part of ['.side', '.overview', '.toolbar', '.room', '.bulk', '.verbs']) await expect(page.locator(part).first()).toBeHidden()
    expect(await page.locator('#rows tr').first().evaluate((row) => getComputedStyle(row).borderTopLeftRadius)).toBe('0px')
    const rows = await page.locator('#rows tr').count()
    await expect(page.locator('.pager > span')).toHaveText(`1–${rows} of 300`)
    await expect(page.locator('.pager > span')).toBeVisible()
    await expect(page.locator('.pager').getByRole('link')).toHaveCount(0)
  })
})

test('on a phone a selection is begun by a button, in rows and in cards', async ({ page, berth }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await berth.signIn(page)
  const tick = page.getByRole('checkbox', { name: 'Select web', exact: true })
  await expect(tick).toBeHidden()
  await page.getByTitle('Select containers').click()
  await tick.check()
  const start = page.getByRole('button', { name: 'Start 1', exact: true })
  await expect(start).toBeVisible()
  await page.getByRole('button', { name: 'Rows', exact: true }).click()
  await expect(tick).toBeChecked()
  await start.click()
  await expect(page.getByRole('heading', { name: 'Start 1 container' })).toBeVisible()
})

test('a search that nothing fits says what to leave out @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.goto(`${berth.url}/?q=tag:prod+nowhere`)
  await expect(page.getByRole('heading', { name: 'No container fits' })).toBeVisible()
  await page.getByRole('link', { name: 'Without nowhere' }).click()
  await expect(row(page, 'db')).toBeVisible()
})

test('the keyboard walks the rows, opens one and comes back to the same view', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.goto(`${berth.url}/?q=tag:monitoring`)
  await berth.ready(page)
  await page.keyboard.press('j')
  await page.keyboard.press('ArrowDown')
  await expect(row(page, 'loki').getByRole('link', { name: 'loki', exact: true })).toBeFocused()
  await page.keyboard.press('k')
  await expect(row(page, 'grafana').getByRole('link', { name: 'grafana', exact: true })).toBeFocused()
  await page.keyboard.press('.')
  await expect(page.getByRole('group', { name: 'Actions for grafana' })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('group', { name: 'Actions for grafana' })).toBeHidden()
  // where it was before
  await expect(row(page, 'grafana').getByRole('link', { name: 'grafana', exact: true })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'grafana' })).toBeVisible()
  await page.goBack()
  await expect(page.locator(names)).toHaveText(['grafana', 'loki', 'prometheus'])
})

test('from page to page the document stays, and the way back is the browser’s', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.evaluate(() => ((window as any).same = true))
  await row(page, 'db').getByRole('link', { name: 'db', exact: true }).click()
  await expect(page).toHaveTitle('db · Berth')
  await page.getByRole('link', { name: 'Operations' }).click()
  await expect(page.locator('#history')).toBeVisible()
  await page.goBack()
  await page.goBack()
  await expect(page).toHaveTitle('Containers · Berth')
  await expect(row(page, 'db')).toBeVisible()
  expect(await page.evaluate(() => (window as any).same)).toBe(true)
})

test('what somebody begins at Proxmox itself shows on its row', async ({ page, berth }) => {
  test.slow()
  await berth.signIn(page)
  await berth.cluster.act('/nodes/pve2/lxc/216/status/start')
  await expect(row(page, 'never-finishes')).toContainText('Starting…', { timeout: 15_000 })
  await expect(row(page, 'never-finishes')).toContainText('root@pam')
})

test('a node that goes away takes nothing else with it, and comes back', async ({ page, berth }) => {
  test.slow()
  await berth.signIn(page)
  await berth.cluster.setOnline('pve2', false)
  await expect(page.getByRole('region', { name: 'Nodes' }).getByRole('link', { name: /pve2/ })).toContainText('Offline', { timeout: 15_000 })
  await expect(row(page, 'grafana')).toContainText('Unknown', { timeout: 15_000 })
  await expect(row(page, 'db')).toContainText('Running')
  await berth.cluster.setOnline('pve2', true)
  await expect(row(page, 'grafana')).toContainText('Running', { timeout: 15_000 })
})

test('a selection, a menu and the focus survive what changes meanwhile', async ({ page, berth }) => {
  await berth.signIn(page)
  const name = row(page, 'db').getByRole('link', { name: 'db', exact: true })
  await name.focus()
  await page.evaluate(() => ((document.activeElement as any).marked = true))
  // another verb changes the list twice
  await page.evaluate(() => document.querySelector<HTMLElement>('[aria-label="Start web"]')!.click())
  await expect(row(page, 'web')).toContainText('Running')
  await expect(name).toBeFocused()
  expect(await name.evaluate((element) => (element as any).marked)).toBe(true)
})

test('an answer that was asked for before a press takes nothing of the row that was pressed', async ({ page, berth }) => {
  await berth.signIn(page)
  const web = row(page, 'web')
  // the next answer waits until the verb was pressed
  let [release, asked] = [() => {}, () => {}]
  const isAsked = new Promise<void>((done) => (asked = done))
  const held = new Promise<void>((done) => (release = done))
  await page.route(
    '**/api/get_page*',
    async (route) => {
      const response = await route.fetch()
      asked()
      await held
      await route.fulfill({ response })
    },
    { times: 1 },
  )
  await isAsked
  await page.evaluate(() => {
    const row = document.querySelector('[title="web"]')!.closest('tr')!
    const cells = row.children.length
    new MutationObserver(() => row.children.length < cells && ((window as any).wasEmpty = true)).observe(row, { subtree: true, childList: true })
  })
  await web.getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(web.locator('.c-status [data-word]')).toHaveText('Starting…')
  release()
  await expect(web.locator('.c-status [data-word]')).toHaveText('Running')
  expect(await page.evaluate(() => (window as any).wasEmpty)).toBeUndefined()
})

test('a session that ends elsewhere leads to the sign-in form and back', async ({ page, berth, context }) => {
  berth.expectStatus(401)
  await berth.signIn(page)
  await page.goto(`${berth.url}/?q=tag:prod`)
  await berth.ready(page)
  await context.clearCookies()
  await row(page, 'db').getByRole('button', { name: 'Restart db', exact: true }).click()
  await expect(page).toHaveURL(/\/login\?next=/)
  await berth.fillIn(page, {})
  await expect(page).toHaveURL(`${berth.url}/?q=tag:prod`)
  expect(await berth.cluster.writes()).toEqual([])
  expect(hasJavaScript()).toBe(true)
})

test('a stream that is cut five times misses nothing', async ({ page, berth, browser }) => {
  test.slow()
  berth.expectConsole(/ERR_/)
  await berth.signIn(page)
  const other = await (await browser.newContext()).newPage()
  berth.watch(other)
  await berth.signIn(other, { user: 'root', realm: 'pam' })
  for (let cut = 0; cut < 5; cut++) {
    await page.context().setOffline(true)
    const [verb, end] = cut % 2 === 0 ? ['Start web', 'Running'] : ['Shut down web', 'Stopped']
    await row(other, 'web').getByRole('button', { name: verb, exact: true }).click()
    await expect(row(other, 'web')).toContainText(end)
    await page.context().setOffline(false)
    await expect(row(page, 'web')).toContainText(end, { timeout: 15_000 })
  }
  await other.context().close()
})

test('a stream that was answered with an error is asked for again, and everything with it', async ({ page, berth }) => {
  test.slow()
  berth.expectStatus(502)
  await stopBeats(page)
  const { asked } = await listen(page)
  const answers = [{ status: 502 }, { status: 502 }, { contentType: 'text/event-stream', body: 'retry: 100\n\n' }]
  let [release, streams] = [() => {}, 0]
  const held = new Promise<void>((done) => (release = done))
  await page.route('**/api/live', async (route) => {
    const answer = answers[streams++]
    if (answer) return route.fulfill(answer)
    await held
    return route.continue()
  })
  await berth.signIn(page)
  // the third one is open and says nothing, so it is its opening that asks
  await expect.poll(asked, { timeout: 15_000 }).toBe(1)
  expect(streams).toBeGreaterThanOrEqual(3)
  release()
  await berth.cluster.act('/nodes/pve1/lxc/103/status/start')
  await expect(row(page, 'web')).toContainText('Running', { timeout: 15_000 })
})

test('an answer that never comes does not keep the page from looking again', async ({ page, berth }) => {
  await page.clock.install()
  await berth.signIn(page)
  let [hang, hung] = [() => {}, 0]
  const isHanging = new Promise<void>((done) => (hang = done))
  await page.route(
    '**/api/get_page*',
    () => {
      hung++
      hang()
    },
    { times: 1 },
  )
  await isHanging
  await berth.cluster.act('/nodes/pve1/lxc/103/status/start')
  // a limit and a beat later
  await page.clock.runFor(26_000)
  await expect(row(page, 'web')).toContainText('Running', { timeout: 15_000 })
  await expect(page.getByRole('alert')).toHaveCount(0)
  expect(hung).toBe(1)
})

test('a verb that needs the name typed leads to where it is asked for', async ({ page, berth }) => {
  berth.expectStatus(409, 404)
  await berth.signIn(page)
  await page.route('**/api/start_container', (route) => route.fulfill({ status: 409, json: { identity_unclear: { vmid: 103 } } }))
  await row(page, 'web').getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(page).toHaveURL(/\/containers\/[0-9a-f]{32}\/confirm\?verb=start$/)
})

test('a shutdown that must not be forced is asked for as such where the name is wanted too', async ({ page, berth }) => {
  berth.expectStatus(409)
  await berth.signIn(page)
  await page.route('**/api/shutdown_container', (route) => route.fulfill({ status: 409, json: { identity_unclear: { vmid: 104 } } }))
  await choose(page, 'db', 'Shut down, never stop hard')
  await expect(page).toHaveURL(/\/confirm\?verb=shutdown&graceful_only=true$/)
  await expect(page.locator('input[name=graceful_only]')).toHaveValue('true')
})

test('a hidden tab costs nothing, and is right at once when it is back', async ({ page, berth, context }) => {
  test.slow()
  await berth.signIn(page)
  const asked: string[] = []
  const hide = (hidden: boolean) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
  await hide(true)
  page.on('request', (request) => asked.push(request.url()))
  const other = await context.newPage()
  berth.watch(other)
  await other.goto(berth.url)
  await berth.ready(other)
  await row(other, 'web').getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(row(other, 'web')).toContainText('Running')
  await expect(row(page, 'web')).toContainText('Stopped')
  expect(asked).toEqual([])
  await hide(false)
  await expect(row(page, 'web')).toContainText('Running', { timeout: 3000 })
})
