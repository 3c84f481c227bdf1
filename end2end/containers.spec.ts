import { choose, expect, openMenu, row, test, troubled } from './fixtures'

test('a user signs in, starts web, sees it running, and stops it @both', async ({ page, berth }) => {
  await berth.signIn(page)
  const web = row(page, 'web')
  await expect(web).toContainText('Stopped')
  await web.getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(web).toContainText('Running')
  await expect(web.getByRole('button', { name: 'Start web', exact: true })).toHaveAttribute('aria-disabled', 'true')
  const menu = await openMenu(page, 'web')
  await menu.getByText('Stop…').click()
  await menu.getByRole('button', { name: 'Stop web' }).click()
  await expect(web).toContainText('Stopped')
  expect(await berth.cluster.writes()).toEqual(['POST /nodes/pve1/lxc/103/status/start', 'POST /nodes/pve1/lxc/103/status/stop'])
})

test('a clean shutdown is one press @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await row(page, 'grafana').getByRole('button', { name: 'Shut down grafana', exact: true }).click()
  await expect(row(page, 'grafana')).toContainText('Stopped')
})

test('a row shows at once that something is under way', async ({ page, berth }) => {
  await berth.signIn(page)
  await berth.cluster.fault({ path_contains: 'status/start', action: { kind: 'hang' } })
  await row(page, 'web').getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(row(page, 'web')).toContainText('Starting…')
  await expect(row(page, 'web').getByRole('button', { name: 'Start web', exact: true })).toHaveAttribute('aria-disabled', 'true')
  await berth.cluster.clearFaults()
})

test('two rows pressed at once, the first fails and the second works: both ends stand', async ({ page, berth }) => {
  berth.expectStatus(502)
  await berth.signIn(page)
  // one after the other in the same turn of the page, so within 100 ms on any machine
  await page.evaluate(() => {
    const press = (name: string) => document.querySelector<HTMLElement>(`[aria-label="${name}"]`)!.click()
    press('Start refuses-to-start')
    press('Start web')
  })
  await expect(row(page, 'web')).toContainText('Running')
  await expect(row(page, 'refuses-to-start')).toContainText(/Start failed · [0-9A-Z]{4}-[0-9A-Z]{2}/)
  await expect(row(page, 'refuses-to-start')).toContainText('Stopped')
  await expect(row(page, 'web')).toContainText('Running')
  await expect(page.locator('.toasts')).toContainText('Start failed for refuses-to-start.')
})

test('a failure is one sentence with a reference @nojs', async ({ page, berth }) => {
  await berth.signIn(page)
  await row(page, 'refuses-to-start').getByRole('button', { name: 'Start refuses-to-start', exact: true }).click()
  await expect(page.getByRole('alert')).toContainText('Proxmox tried, and the task for CT 115 failed.')
  await expect(page.locator('.note')).toContainText(/Reference [0-9A-Z]{4}-[0-9A-Z]{2}/)
  await page.reload()
  await expect(page.getByRole('alert')).toHaveCount(0)
})

test('what is not allowed now is disabled and says why @both', async ({ page, berth }) => {
  await berth.signIn(page)
  const locked = row(page, 'locked-by-backup')
  await expect(locked).toContainText('Locked: backup')
  await expect(locked.getByRole('button', { name: 'Shut down locked-by-backup', exact: true })).toHaveAttribute('aria-disabled', 'true')
  await expect(locked.getByRole('button', { name: 'Shut down locked-by-backup', exact: true })).toHaveAttribute('title', 'Locked: backup. Allowed again when it ends.')
})

test('who may only look sees everything and presses nothing', async ({ page, berth }) => {
  await berth.signIn(page, { user: 'auditor' })
  const start = row(page, 'web').getByRole('button', { name: 'Start web', exact: true })
  await expect(start).toHaveAttribute('title', /needs VM.PowerMgmt/)
  // disabled buttons can still be pressed
  await start.click({ force: true })
  await choose(page, 'web', 'Start')
  expect(await berth.cluster.writes()).toEqual([])
})

test('a user sees what they may see @both', async ({ page, berth }) => {
  await berth.signIn(page, { user: 'bob' })
  await expect(page.locator('#rows tr')).toHaveCount(3)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await berth.fillIn(page, { user: 'nobody' })
  await expect(page.getByRole('heading', { name: 'No containers that you may see' })).toBeVisible()
})

test('while Proxmox hangs the page comes with the last good rows and says so @both', async ({ page, berth }) => {
  test.slow()
  await berth.signIn(page)
  await berth.cluster.fault({ path_prefix: '/', action: { kind: 'hang' } })
  await page.reload()
  await expect(row(page, 'web')).toBeVisible()
  await troubled(page, 'homelab does not answer in time.')
  await expect(row(page, 'web')).toBeVisible()
  await berth.cluster.clearFaults()
})

test('when Berth itself is away the rows stay and the failure says so', async ({ page, berth }) => {
  berth.expectConsole(/ERR_FAILED/)
  await berth.signIn(page)
  await page.route('**/api/**', (route) => route.abort())
  await row(page, 'web').getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(page.locator('.toasts')).toContainText('Berth cannot be reached. Check your connection.')
  await expect(row(page, 'db')).toBeVisible()
})

test('the keyboard reaches every verb', async ({ page, berth }) => {
  await berth.signIn(page)
  await row(page, 'web').getByRole('button', { name: 'Start web', exact: true }).focus()
  await page.keyboard.press('Enter')
  await expect(row(page, 'web')).toContainText('Running')
  await expect(row(page, 'web').getByRole('button', { name: 'Start web', exact: true })).toBeFocused()
})
