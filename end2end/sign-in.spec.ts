import { expect, hasJavaScript, test } from './fixtures'

test('a stranger is led to the sign-in form and comes back where they wanted to go @both', async ({ page, berth }) => {
  await page.goto(`${berth.url}/?tag=prod`)
  await expect(page).toHaveURL(`${berth.url}/login?next=/%3Ftag%3Dprod`)
  await berth.fillIn(page, {})
  await expect(page).toHaveURL(`${berth.url}/?tag=prod`)
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test('a wrong password is refused in one sentence, and what was entered stays, but for the password @both', async ({ page, berth }) => {
  berth.expectStatus(401)
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { password: 'wrong' })
  await expect(page.getByRole('alert')).toContainText('Wrong user name or password.')
  await expect(page.locator('.note')).toContainText('homelab refused this sign-in for alice@pve.')
  await expect(page.getByLabel('User name')).toHaveValue('alice')
  await expect(page.getByLabel('Realm')).toHaveValue('pve')
  await expect(page.getByLabel('Password', { exact: true })).toHaveValue('')
  await berth.fillIn(page, {})
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test('an empty field says so beside itself @both', async ({ page, berth }) => {
  berth.expectStatus(422)
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { password: '' })
  await expect(page.getByText('Enter your password.')).toBeVisible()
  await berth.fillIn(page, { user: '' })
  await expect(page.getByText('Enter your user name.')).toBeVisible()
})

test('who is signed in is not asked again, and signing out ends it in the browser and in the store @both', async ({ page, berth, context }) => {
  await berth.signIn(page)
  await page.goto(`${berth.url}/login`)
  await expect(page).toHaveURL(`${berth.url}/`)
  const before = await context.cookies()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page).toHaveURL(`${berth.url}/login`)
  await context.addCookies(before)
  await page.goto(berth.url)
  await expect(page).toHaveURL(`${berth.url}/login`)
})

test('an expired ticket leads to the sign-in form, and nothing is done @both', async ({ page, berth }) => {
  berth.expectStatus(401)
  await berth.signIn(page)
  await berth.cluster.expireTickets()
  await page.getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(page).toHaveURL(`${berth.url}/login`)
  expect(await berth.cluster.writes()).toEqual([])
  await berth.fillIn(page, {})
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test('a cluster whose certificate has changed gets no password @both', async ({ page, berth }) => {
  berth.expectStatus(502)
  await page.goto(`${berth.url}/login`)
  await berth.cluster.send('POST', 'certificate', { mode: 'new' })
  await berth.cluster.send('DELETE', 'requests')
  // the realms are remembered for a minute, so the form is whole; the sign-in itself is what must not happen
  await berth.fillIn(page, {})
  await expect(page.getByRole('alert').first()).toContainText('The certificate of homelab is not the one Berth trusts.')
  const { requests } = await berth.cluster.send('GET', 'requests')
  expect(requests).toEqual([])
})

test('the theme is switched and stays @both', async ({ page, berth }) => {
  await page.goto(`${berth.url}/login`)
  await berth.ready(page)
  await page.getByRole('button', { name: /Theme/ }).click()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light')
  await page.getByRole('button', { name: /Theme/ }).click()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  await page.reload()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  if (hasJavaScript()) await expect(page.getByRole('button', { name: 'Show password' })).toBeVisible()
  else await expect(page.getByRole('button', { name: 'Show password' })).toBeHidden()
})
