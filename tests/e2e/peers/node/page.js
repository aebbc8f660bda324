// Opens the health page as a person does and says what is there, as one line of JSON.
// node page.js URL PICTURE WIDTH SCHEME [SECONDS]
'use strict';
const { chromium } = require('playwright-core');

const [url, picture, width, scheme, seconds = '0'] = process.argv.slice(2);
const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

async function main() {
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: quiet });
  const page = await browser.newPage({ viewport: { width: Number(width), height: 900 }, colorScheme: scheme });
  const complaints = [];
  const foreign = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => { if (new URL(request.url()).origin !== new URL(url).origin) foreign.push(request.url()); });
  await page.goto(url);
  const before = await page.textContent('#flow');
  // The page is not loaded again: what is different after this came as events.
  if (Number(seconds) > 0) {
    const changed = (text) => document.querySelector('#flow').textContent !== text;
    await page.waitForFunction(changed, before, { timeout: Number(seconds) * 1000 });
  }
  const seen = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    light: document.querySelector('h1').className,
    headline: document.querySelector('h1').textContent,
    advice: [...document.querySelectorAll('.do li')].map((item) => item.textContent),
    sections: [...document.querySelectorAll('h2')].map((heading) => heading.textContent),
    text: document.body.innerText,
    spills: document.documentElement.scrollWidth > window.innerWidth,
    stale: !document.getElementById('stale').hidden,
    unnamed: [...document.querySelectorAll('a, svg, [role=region]')]
      .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label'))).length,
  }));
  await page.keyboard.press('Tab');
  const focus = await page.evaluate(() => document.activeElement.tagName);
  await page.screenshot({ path: picture, fullPage: true });
  await browser.close();
  console.log(JSON.stringify({ ...seen, focus, complaints, foreign }));
}

main().catch((error) => { console.error(error); process.exit(1); });
