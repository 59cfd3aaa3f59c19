const words = (text: string) => text.split(' ');

/** The names of a connection's options, by the option that holds them. A test compares them with what is accepted. */
export const NAMES: Readonly<Record<string, readonly string[]>> = {
  '': words(
    'port host path tls target socket dial backoff minUptime maxRetries maxElapsed maxLifetime failback shouldRetry ' +
      'connectTimeout beforeTls handshake decoder idleTimeout writeTimeout heartbeat queue closeTimeout signal autoConnect reuseReadBuffer',
  ),
  socket: words(
    'noDelay keepAlive keepAliveInitialDelay keepAliveInterval keepAliveCount allowHalfOpen localAddress localPort ' +
      'family hints lookup autoSelectFamily autoSelectFamilyAttemptTimeout',
  ),
  tls: words(
    'ca cert key pfx passphrase servername rejectUnauthorized checkServerIdentity ALPNProtocols minVersion maxVersion ' +
      'ciphers crl session secureContext pskCallback',
  ),
  backoff: words('initialDelay maxDelay multiplier jitter random'),
  heartbeat: words('interval timeout idle ping'),
  queue: words('maxBytes maxAge overflow'),
  failback: words('interval successes'),
  // A pool's own.
  ejection: words('failures baseTime maxShare panicShare'),
};

/** What other libraries and Node call an option, in lower case. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  coordinateDials: words('canary'),
  host: words('hostname address addr ip server remotehost remoteaddress'),
  port: words('remoteport'),
  path: words('socketpath unixsocket pipe ipc'),
  target: words('targets hosts servers nodes endpoints'),
  tls: words('ssl secure usetls usessl tlsoptions ssloptions https'),
  'tls.servername': words('sni'),
  'socket.noDelay': words('tcpnodelay setnodelay'),
  'socket.keepAliveInitialDelay': words('keepalivemsecs keepalivedelay'),
  dial: words('stream createconnection createsocket connector socketfactory agent proxy transport'),
  beforeTls: words('starttls'),
  handshake: words('onconnect authenticate auth login username user password'),
  decoder: words('encoding parser transform codec framing delimiter'),
  backoff: words('retrystrategy reconnectstrategy retrypolicy'),
  'backoff.initialDelay': words(
    'reconnectinterval retryinterval retrydelay reconnectdelay mintimeout mindelay basedelay startingdelay delay',
  ),
  'backoff.maxDelay': words('maxreconnectinterval maxreconnectdelay maxretrydelay maxtimeout maxbackoff'),
  'backoff.multiplier': words('factor growth exponent'),
  maxRetries: words(
    'retries retry attempts maxattempts maxreconnects maxreconnectattempts reconnectattempts numofattempts',
  ),
  shouldRetry: words('autoreconnect reconnect reconnectonerror retryon isretryable'),
  connectTimeout: words('timeout connectiontimeout'),
  idleTimeout: words('timeout sockettimeout readtimeout receivetimeout inactivitytimeout'),
  writeTimeout: words('sendtimeout'),
  'heartbeat.interval': words('pinginterval heartbeatinterval'),
  'heartbeat.timeout': words('pingtimeout pongtimeout heartbeattimeout'),
  'queue.maxBytes': words('buffersize queuesize maxqueuesize offlinequeue enableofflinequeue highwatermark'),
  closeTimeout: words('disconnecttimeout shutdowntimeout'),
  signal: words('abort abortsignal controller'),
  maxConnecting: words('concurrency'),
  ejection: words('outlierdetection outliers eject circuitbreaker'),
  'ejection.failures': words('consecutivefailures consecutiveerrors consecutive5xx maxfailures threshold'),
  'ejection.baseTime': words('baseejectiontime ejectiontime interval duration'),
  'ejection.maxShare': words('maxejectionpercent maxejectionpercentage maxejected'),
  'ejection.panicShare': words('panicthreshold minhealthpercent healthypanicthreshold'),
  'follow.subset': words('subsetsize size limit count max'),
  'follow.client': words('clientid clientname id name seed'),
  'follow.minimum': words('min minsize minmembers minentries allowempty'),
  'follow.onError': words('error errorhandler oncatch'),
  name: words('hostname host domain service query srv'),
  record: words('type rrtype recordtype records'),
  interval: words('pollinterval refreshinterval refresh every ttl'),
  mostPerRecord: words('weights weighted useweights maxperrecord'),
  resolver: words('dns lookup resolve servers nameserver'),
  select: words('policy loadbalancing strategy'),
  'write.maxAge': words('timeout ttl expires'),
  autoConnect: words('lazyconnect lazy autostart'),
};

/**
 * The options that an unknown name may stand for, such as `socket.keepAlive` for `keepAlive`; none if nothing is close.
 *
 * @param path - Name of the option that holds the record; `''` for the options themselves.
 * @param known - The names that the record may have.
 */
export function meantBy(name: string, path: string, known: readonly string[]): readonly string[] {
  const key = simple(name);
  const own = known.map((each) => (path === '' ? each : `${path}.${each}`));
  const others = optionsAround(path, known).filter((each) => !own.includes(each) && each !== `${path}.${name}`);
  const exact = own.filter((each) => lastOf(each) === key);
  if (exact.length > 0) return exact;
  const isSynonym = (option: string) => SYNONYMS[option.replace(/^target\./, '')]?.includes(key) === true;
  const synonyms = [own.filter(isSynonym), others.filter(isSynonym)].find((each) => each.length > 0);
  if (synonyms !== undefined) return synonyms;
  const elsewhere = others.filter((each) => lastOf(each) === key);
  return elsewhere.length > 0 ? elsewhere : (nearest(key, own) ?? nearest(key, others) ?? []);
}

/** The options of a connection that could have been given where the record has an unknown name, or beside it. */
function optionsAround(path: string, known: readonly string[]): readonly string[] {
  if (path !== '' && path !== 'target' && !Object.hasOwn(NAMES, path)) return [];
  return Object.entries(NAMES).flatMap(([holder, names]) =>
    path === '' && !known.includes(holder) ? [] : names.map((each) => (holder === '' ? each : `${holder}.${each}`)),
  );
}

/** A name without its case and its separators: `connect_timeout` is `connectTimeout`. */
function simple(name: string): string {
  return name.replace(/(?<=[a-z])[-_](?=[a-z])/gi, '').toLowerCase();
}

function lastOf(option: string): string {
  return simple(option.slice(option.lastIndexOf('.') + 1));
}

/** The closest of `options`, if it is within two typing errors of `key`: one in a short name, none in a very short one. */
function nearest(key: string, options: readonly string[]): readonly [string] | undefined {
  let limit = key.length < 4 ? 0 : key.length < 6 ? 1 : 2;
  let best: string | undefined;
  for (const option of options) {
    const errors = distance(key, lastOf(option));
    if (errors > limit) continue;
    best = option;
    // A later one has to be closer.
    limit = errors - 1;
  }
  return best === undefined ? undefined : [best];
}

/** Characters to insert, delete, replace or swap with their neighbour, to turn one word into the other. */
function distance(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > 2) return Infinity;
  let before: number[] = [];
  let above = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const here = [row];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1];
      const isSwapped =
        row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      // `!`: all are within the rows.
      const replaced = above[column - 1]! + (isSame ? 0 : 1);
      const least = Math.min(replaced, above[column]! + 1, here[column - 1]! + 1);
      here.push(isSwapped ? Math.min(least, before[column - 2]! + 1) : least);
    }
    before = above;
    above = here;
  }
  return above.at(-1)!;
}
