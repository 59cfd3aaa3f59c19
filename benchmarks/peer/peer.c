// The other end of every measurement, which takes as little CPU time as possible.
//
// peer: listens on a free port of every address of the loopback interface, prints the port, and ends with its standard
// input. Each line that a connection sends is a command:
//
//   sink                    counts the bytes that follow, and takes no other command
//   await BYTES             answers with a line when all sinks together have counted BYTES
//   echo                    sends back what follows, and takes no other command
//   reset                   sends an RST
//   quit                    ends the process
//   flood BLOCK BYTES       sends BYTES bytes, BLOCK at a time
//   member GROUP            joins a group, which is answered with a byte
//   round GROUP SIZE        sends SIZE bytes to each member of a group
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE = 64, BATCH = 1024, BUFFER = 1 << 20, ECHO = 1 << 16 };

enum mode { ASKING, SINK, ECHOING, FLOOD };

struct connection {
  int fd;
  enum mode mode;
  uint64_t left;
  size_t block;
  char *held;
  size_t begin, end;
};

/* The data to send; the upper half takes the data that is received. */
static char buffer[BUFFER];
static int loop;
static uint64_t counted;

static struct connection *waiter;
static uint64_t awaited;

enum { GROUPS = 64, GROUP = 1024 };

static struct group {
  struct connection *members[GROUP];
  size_t count;
} groups[GROUPS];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(struct connection *connection, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(loop, EPOLL_CTL_MOD, connection->fd, &event) < 0) fail("epoll_ctl");
}

static void drop(struct connection *connection) {
  close(connection->fd);
  for (struct group *group = groups; group < groups + GROUPS; group++) {
    for (size_t i = 0; i < group->count; i++) {
      if (group->members[i] == connection) group->members[i] = group->members[--group->count];
    }
  }
  if (waiter == connection) waiter = NULL;
  free(connection->held);
  free(connection);
}

static int is_temporary(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EINTR);
}

static void tell_waiter(void) {
  char line[LINE];
  if (waiter == NULL || counted < awaited) return;
  int length = snprintf(line, sizeof line, "%llu\n", (unsigned long long)counted);
  struct connection *connection = waiter;
  waiter = NULL;
  if (send(connection->fd, line, length, MSG_NOSIGNAL) != length) fail("await");
}

static void send_to(struct group *group, size_t size) {
  for (size_t i = 0; i < group->count; i++) {
    if (send(group->members[i]->fd, buffer, size, MSG_NOSIGNAL) != (ssize_t)size) fail("round");
  }
}

/* Returns 0 if the connection has ended. */
static int flood(struct connection *connection) {
  while (connection->left > 0) {
    size_t length = connection->left < connection->block ? connection->left : connection->block;
    ssize_t sent = send(connection->fd, buffer, length, MSG_NOSIGNAL);
    if (is_temporary(sent)) return 1;
    if (sent < 0) return drop(connection), 0;
    connection->left -= sent;
  }
  connection->mode = ASKING;
  watch(connection, EPOLLIN);
  return 1;
}

static int flush_echo(struct connection *connection) {
  while (connection->begin < connection->end) {
    size_t left = connection->end - connection->begin;
    ssize_t sent = send(connection->fd, connection->held + connection->begin, left, MSG_NOSIGNAL);
    if (is_temporary(sent)) return watch(connection, EPOLLOUT), 1;
    if (sent < 0) return drop(connection), 0;
    connection->begin += sent;
  }
  if (connection->begin > 0) watch(connection, EPOLLIN);
  connection->begin = connection->end = 0;
  return 1;
}

static void add_member(struct connection *connection, struct group *group) {
  if (group->count == GROUP) fail("member");
  group->members[group->count++] = connection;
  if (send(connection->fd, buffer, 1, MSG_NOSIGNAL) != 1) fail("member");
}

static int obey(struct connection *connection, const char *line) {
  unsigned long long one, two;
  if (strcmp(line, "sink") == 0) connection->mode = SINK;
  else if (strcmp(line, "quit") == 0) exit(0);
  else if (strcmp(line, "reset") == 0) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return drop(connection), 0;
  } else if (strcmp(line, "echo") == 0) {
    connection->mode = ECHOING;
    connection->held = malloc(ECHO);
    if (connection->held == NULL) fail("malloc");
  } else if (sscanf(line, "member %llu", &one) == 1) {
    add_member(connection, &groups[one % GROUPS]);
  } else if (sscanf(line, "await %llu", &one) == 1) {
    waiter = connection;
    awaited = one;
    tell_waiter();
  } else if (sscanf(line, "flood %llu %llu", &one, &two) == 2) {
    if (one == 0 || one > BUFFER / 2) fail("flood");
    connection->mode = FLOOD;
    connection->block = one;
    connection->left = two;
    watch(connection, EPOLLOUT);
  } else if (sscanf(line, "round %llu %llu", &one, &two) == 2) {
    if (two > BUFFER / 2) fail("round");
    send_to(&groups[one % GROUPS], two);
  } else {
    fprintf(stderr, "peer: unknown command %s\n", line);
    exit(1);
  }
  return 1;
}

/* Reads the line and not a byte more: the rest is data for its command. */
static int listen_to(struct connection *connection) {
  char line[LINE];
  ssize_t length = recv(connection->fd, line, sizeof line - 1, MSG_PEEK);
  if (is_temporary(length)) return 1;
  if (length <= 0) return drop(connection), 0;
  char *end = memchr(line, '\n', length);
  if (end == NULL) {
    if (length == sizeof line - 1) fail("line");
    return 1;
  }
  if (recv(connection->fd, line, end - line + 1, 0) != end - line + 1) fail("recv");
  *end = 0;
  return obey(connection, line);
}

static void on_readable(struct connection *connection) {
  ssize_t got;
  if (connection->mode == ASKING) {
    listen_to(connection);
    return;
  }
  /* TCP can discard bytes without copying them. */
  if (connection->mode == SINK) got = recv(connection->fd, buffer + BUFFER / 2, BUFFER / 2, MSG_TRUNC);
  else got = recv(connection->fd, connection->held, ECHO, 0);
  if (is_temporary(got)) return;
  if (got <= 0) return drop(connection);
  if (connection->mode == SINK) {
    counted += got;
    tell_waiter();
  } else {
    connection->end = got;
    flush_echo(connection);
  }
}

static void accept_all(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) fail("calloc");
    connection->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
  }
  if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) fail("accept");
}

/* On all addresses 127.x.y.z, and on no other interface. */
static int listen_on_loopback(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") < 0) fail("loopback");
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) fail("listen");
  return listener;
}

static int port_of(int listener) {
  struct sockaddr_in address = {0};
  socklen_t length = sizeof address;
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  return ntohs(address.sin_port);
}

int main(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  signal(SIGPIPE, SIG_IGN);
  memset(buffer, 'x', sizeof buffer);
  loop = epoll_create1(0);
  int listener = listen_on_loopback();
  printf("%d\n", port_of(listener));
  fflush(stdout);

  static int parent = STDIN_FILENO;
  struct epoll_event accepting = {.events = EPOLLIN, .data.ptr = &listener};
  struct epoll_event parting = {.events = EPOLLIN, .data.ptr = &parent};
  if (epoll_ctl(loop, EPOLL_CTL_ADD, listener, &accepting) < 0) fail("epoll_ctl");
  if (epoll_ctl(loop, EPOLL_CTL_ADD, parent, &parting) < 0) fail("epoll_ctl");

  for (;;) {
    static struct epoll_event events[BATCH];
    int count = epoll_wait(loop, events, BATCH, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *connection = events[i].data.ptr;
      if (events[i].data.ptr == &listener) accept_all(listener);
      else if (events[i].data.ptr == &parent) {
        if (read(parent, buffer, LINE) <= 0) return 0;
      } else if (connection->mode == FLOOD) flood(connection);
      else if (connection->mode == ECHOING && connection->begin < connection->end) flush_echo(connection);
      else on_readable(connection);
    }
  }
}
