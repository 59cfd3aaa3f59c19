/** Where every usage error points to. */
export const HELP = `Usage: reconnecting-connection [options] TARGET

Connects to TARGET, again and again: standard input is sent, what arrives is
printed, and events are logged on standard error.

TARGET is tcp://host:port, tls://host:port or unix:///path

  --hello TEXT       sent first in every session; knows \\r \\n \\t \\0 \\\\ \\xHH
  --lines            a line is never torn: one of input is sent in one session,
                     and an unfinished one of output is not joined to the next
  --once             one session and no retry
  --max-retries N    give up after N retries in a row
  --timeout MS       limit of one attempt to connect (10000)
  --idle MS          nothing received for so long: the session is lost (off)
  --wait MS          after the end of input: how long the peer may be silent
                     until the command ends (5000)
  --no-shutdown      do not end our side with the input, but after --wait
  --ca FILE          trust these certificates in place of Node's (PEM)
  --cert FILE        a certificate of this client, with --key (PEM)
  --key FILE
  --servername NAME  the name in the server's certificate
  --insecure         do not verify the server's certificate
  --quiet            log only what explains an exit code
  --version, --help

Input is read while there is a session; in an outage it waits. At its end
everything is sent, our side is ended, and what the peer still says is printed
until it ends, or is silent for --wait. With --no-shutdown our side is ended
after that silence: for servers that hang up as soon as the client has ended.
A terminal is read until Ctrl-D. With /dev/null there is no input: the command
receives until it is stopped.

Ctrl-C and SIGTERM send what was read and end the session, within 2 s; a second
one ends at once.

Exit codes
  0    input was sent, and the peer has ended or was silent for --wait
  1    could not connect, gave up, or the session was lost: after the end of
       input or, with --once, at any time
  2    wrong arguments
  3    input that was read was not sent, or may be lost: the last line counts it
  130, 143 ...  stopped by SIGINT, SIGTERM ...
  141  standard output was closed, as by head
`;
