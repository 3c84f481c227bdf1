/* Who works by keyboard, listens rather than looks, speaks to the machine, or has another browser than most. */
import { choose, expect, hasJavaScript, row, test } from './fixtures'

const name = (page: any, of: string) => row(page, of).getByRole('link', { name: of, exact: true })

test('the single keys can be switched off, and the browser remembers it @both', async ({ page, berth }) => {
  await berth.signIn(page)
  const keys = page.getByLabel('Main').getByRole('button', { name: /^Shortcuts/ })
  await expect(keys).toContainText('On')
  await keys.click()
  await expect(keys).toContainText('Off')
  await page.reload()
  await expect(keys).toContainText('Off')
  if (!hasJavaScript()) return
  await berth.ready(page)
  await page.keyboard.press('j')
  await expect(page.locator('#rows :focus')).toHaveCount(0)
  await page.keyboard.press('/')
  await expect(page.getByLabel('Search containers')).not.toBeFocused()
  await page.keyboard.press('ArrowDown')
  await expect(page.locator('#rows .name:focus')).toHaveCount(1)
  await keys.click()
  await page.keyboard.press('/')
  await expect(page.getByLabel('Search containers')).toBeFocused()
})

test('a log is copied, and what was not copied is not said to be', async ({ page, berth, context }) => {
  await context.grantPermissions(['clipboard-read'])
  await berth.signIn(page)
  await choose(page, 'web', 'Start')
  await page.getByRole('link', { name: 'Show operation' }).click()
  await expect(page.locator('.log')).toContainText('TASK OK')
  await page.getByRole('button', { name: 'Copy log' }).click()
  await expect(page.locator('.toasts')).toContainText('Copied to the clipboard.')
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('TASK OK')
  await page.evaluate(() => (document.execCommand = () => false))
  await page.getByRole('button', { name: 'Copy log' }).click()
  await expect(page.locator('.toasts')).toContainText('Nothing was copied')
})

test('the focus goes to the next row where its own leaves the list', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.goto(`${berth.url}/?q=tag:monitoring+status:running`)
  await berth.ready(page)
  await page.keyboard.press('j')
  await expect(name(page, 'grafana')).toBeFocused()
  await berth.cluster.act('/nodes/pve2/lxc/201/status/stop')
  await expect(name(page, 'grafana')).toHaveCount(0, { timeout: 20_000 })
  await expect(name(page, 'loki')).toBeFocused()
  await page.keyboard.press('j')
  await expect(name(page, 'prometheus')).toBeFocused()
})

test('the focus comes back from a bar and from a toast that close', async ({ page, berth }) => {
  berth.expectStatus(502)
  await berth.signIn(page)
  await page.getByRole('checkbox', { name: 'Select web', exact: true }).check()
  await page.getByRole('button', { name: 'Clear selection' }).focus()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('button', { name: 'Clear selection' })).toBeHidden()
  await expect(name(page, 'web')).toBeFocused()
  await choose(page, 'refuses-to-start', 'Start')
  await expect(page.locator('.toasts')).toContainText('failed')
  await name(page, 'db').focus()
  await page.locator('.toasts').getByRole('button', { name: 'Close' }).focus()
  await page.keyboard.press('Enter')
  await expect(page.locator('.toasts section')).toHaveCount(0)
  await expect(name(page, 'db')).toBeFocused()
})

test('who does not see the list hears which row it is, and how it is laid out', async ({ page, berth }) => {
  await page.setViewportSize({ width: 1440, height: 900 })
  await berth.signIn(page)
  await expect(page.locator('#rows tr').nth(3)).toHaveAttribute('aria-rowindex', '5')
  const pressed = async (rows: string, cards: string) => {
    await expect(page.getByRole('button', { name: 'Rows', exact: true })).toHaveAttribute('aria-pressed', rows)
    await expect(page.getByRole('button', { name: 'Cards', exact: true })).toHaveAttribute('aria-pressed', cards)
  }
  await pressed('true', 'false')
  // who has chosen nothing has cards on a phone
  await page.setViewportSize({ width: 390, height: 844 })
  await pressed('false', 'true')
  for (const width of [390, 700, 1440]) {
    await page.setViewportSize({ width, height: 844 })
    await page.getByRole('button', { name: 'Rows', exact: true }).click()
    await pressed('true', 'false')
    await page.getByRole('button', { name: 'Cards', exact: true }).click()
    await pressed('false', 'true')
  }
})

test('a browser without the Navigation API searches while one writes, and keeps the address', async ({ page, berth }) => {
  await page.addInitScript(() => Object.defineProperty(window, 'navigation', { value: undefined }))
  await berth.signIn(page)
  await page.getByLabel('Search containers').pressSequentially('tag:monitoring')
  await expect(page.locator('#rows .name')).toHaveText(['grafana', 'loki', 'prometheus'])
  await expect(page).toHaveURL(/q=tag(:|%3A)monitoring$/)
  await expect(page.getByLabel('Search containers')).toBeFocused()
  await name(page, 'loki').click()
  await expect(page.getByRole('heading', { level: 1, name: 'loki' })).toBeVisible()
})

test('a tab from before an update takes the new program with its next page', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.evaluate(() => ((window as any).isOld = true))
  await page.route('**/api/get_page*', async (route) => {
    const answer = await route.fetch()
    await route.fulfill({ response: answer, json: { ...(await answer.json()), site: '/another.wasm' } })
  })
  await berth.cluster.act('/nodes/pve1/lxc/103/status/start')
  // what is on screen goes on being true
  await expect(row(page, 'web')).toContainText('Running', { timeout: 20_000 })
  expect(await page.evaluate(() => (window as any).isOld)).toBe(true)
  await name(page, 'web').click()
  await expect(page.getByRole('heading', { level: 1, name: 'web' })).toBeVisible()
  expect(await page.evaluate(() => (window as any).isOld)).toBeUndefined()
})
