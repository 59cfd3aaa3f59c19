// The page: it receives messages, and passes them to the parts that show them.
/** @import { Action, Downtime, Message } from '../messages.js' */
import { restartClock, setClock, stopClock } from './clock.mjs';
import { CrowdChart } from './crowd-chart.mjs';
import { ask, enable, find, findCanvas, onPress, write } from './dom.mjs';
import { showFigures } from './figures.mjs';
import { addToLog, fillLog } from './log.mjs';
import { ServerCard } from './server-card.mjs';
import { drawPhase, legend } from './shapes.mjs';
import { clearStage, perform } from './stage.mjs';
import { listenToTheme } from './theme.mjs';

/** Milliseconds between updates of the countdowns. */
const GLANCE = 100;

/** @type {ServerCard[]} */
let cards = [];
/** @type {CrowdChart[]} */
let charts = [];
/** @type {readonly Downtime[]} */
let downtimes = [];

listenToTheme();
explainShapes();
letButtonsAct();
follow();
setInterval(() => rows().forEach((row) => row.countDown()), GLANCE);

function rows() {
  return cards.flatMap((card) => card.rows);
}

function follow() {
  const feed = new EventSource('feed');
  feed.onopen = () => showLink('live', 'live');
  feed.onmessage = ({ data }) => receive(JSON.parse(data));
  // EventSource reconnects by itself.
  feed.onerror = () => {
    stopClock();
    for (const button of document.querySelectorAll('main button')) enable(button, false);
    showLink('lost', `Its process has ended. Go on with: npm run dashboard -- --port ${location.port}`);
  };
}

/** @param {'live' | 'lost'} link @param {string} text */
function showLink(link, text) {
  document.body.dataset['link'] = link;
  write(find(document, '#link'), text);
}

/** @param {Message} message */
function receive(message) {
  if (message.type === 'hello') restartClock(message.at);
  else setClock(message.at);
  switch (message.type) {
    case 'hello':
      cards = message.servers.map((server) => new ServerCard(server));
      charts = message.crowds.map((crowd) => new CrowdChart(crowd, () => downtimes));
      find(document, '#servers').replaceChildren(...cards.flatMap(({ element, isPair }) => (isPair ? [] : [element])));
      find(document, '#pair').replaceChildren(...cards.flatMap(({ element, isPair }) => (isPair ? [element] : [])));
      find(document, '#crowds').replaceChildren(...charts.map(({ element }) => element));
      clearStage();
      setDowntimes(message.downtimes);
      fillLog(message.entries);
      for (const button of document.querySelectorAll('[data-everyone]')) enable(button, true);
      return;
    case 'step':
      rows()
        .find(({ id }) => id === message.id)
        ?.step(message.step);
      return;
    case 'mode':
      cards.find(({ id }) => id === message.id)?.set(message.mode);
      return;
    case 'downtimes':
      setDowntimes(message.downtimes);
      return;
    case 'entry':
      addToLog(message.entry);
      return;
    case 'tick':
      showFigures(
        message,
        cards.reduce((size, { isPair, rows }) => size + (isPair ? 0 : rows.length), 0),
      );
      for (const card of cards) card.show(message.gates);
      for (const figures of message.members)
        rows()
          .find(({ id }) => id === figures.id)
          ?.show(figures);
      for (const figures of message.crowds) charts.find(({ id }) => id === figures.id)?.show(figures);
  }
}

/** @param {readonly Downtime[]} latest */
function setDowntimes(latest) {
  downtimes = latest;
  const last = latest.at(-1);
  const isDown = last !== undefined && last.to === undefined;
  enable(find(document, '[data-crowds=kill]'), !isDown);
  enable(find(document, '[data-crowds=revive]'), isDown);
}

function letButtonsAct() {
  for (const action of /** @satisfies {Action[]} */ (['kill', 'revive'])) {
    onPress(find(document, `[data-crowds=${action}]`), () => ask('crowds', action));
    onPress(find(document, `[data-everyone=${action}]`), () =>
      cards.forEach(({ id, isPair }) => isPair || ask(id, action)),
    );
  }
}

function explainShapes() {
  const items = legend.map(([phase, text]) => {
    const item = document.createElement('li');
    item.innerHTML = '<canvas class="swatch" aria-hidden="true"></canvas><span></span>';
    write(find(item, 'span'), text);
    perform(findCanvas(item, 'canvas'), (context, width, height) => drawPhase(context, phase, 0, width, height));
    return item;
  });
  find(document, '#legend').replaceChildren(...items);
}
