// Opens a page that was written to a file as a person does, and prints it; says what is there as one line of JSON.
// node paper.js FILE LANGUAGE PICTURE PDF
'use strict';
const { pathToFileURL } = require('url');
const { chromium } = require('playwright-core');

const [file, language, picture, pdf] = process.argv.slice(2);
const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

async function main() {
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: quiet });
  const page = await browser.newPage({ viewport: { width: 1360, height: 900 } });
  const complaints = [];
  const foreign = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => { if (!request.url().startsWith('file:')) foreign.push(request.url()); });
  await page.goto(pathToFileURL(file).href);
  await page.check(`#${language}`);
  const seen = await page.evaluate(() => ({
    title: document.querySelector('h1').innerText,
    headings: [...document.querySelectorAll('h2')].map((heading) => heading.innerText),
    text: document.body.innerText,
    spills: document.documentElement.scrollWidth > window.innerWidth,
    plots: document.querySelectorAll('svg').length,
  }));
  await page.screenshot({ path: picture, fullPage: true });
  // On paper the switch of the language is gone, and nothing is wider than the sheet.
  await page.emulateMedia({ media: 'print' });
  const printed = await page.evaluate(() => ({
    text: document.body.innerText,
    switches: [...document.querySelectorAll('input, label')].filter((node) => node.offsetParent !== null).length,
  }));
  await page.pdf({ path: pdf, preferCSSPageSize: true });
  await browser.close();
  console.log(JSON.stringify({ ...seen, printed, complaints, foreign }));
}

main().catch((error) => { console.error(error); process.exit(1); });
