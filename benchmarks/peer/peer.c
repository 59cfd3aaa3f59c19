// The other end of every measurement, made to cost as little as it can. peer-process.ts does the same where there is no
// compiler.
//
// peer [PATH]: listens on a port of the kernel's choice, or on the Unix socket PATH, prints the port (0 for a path), and
// ends with its standard input. What is done for a connection is what the connection's first line asks for:
//
//   hold                    nothing: what comes is read and forgotten
//   sink                    counts the bytes that follow
//   await BYTES             answers with a line when the sinks have counted so many, all together; then takes another
//   echo                    sends back what follows
//   reset                   an RST, at once
//   quit                    the end of the whole process
//   flood BLOCK BYTES       BYTES bytes, BLOCK at a time
//   member GROUP            is one of group 0 or 1
//   trickle SIZE MEMBERS ROUNDS
//                           waits for so many members, half of them in each group, and sends SIZE bytes to each; and
//                           again to those of group 0 for each 0 that follows, and of group 1 for each 1, until each
//                           group had its rounds. So no member has two segments under way, and one is always to be read
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
#include <sys/un.h>
#include <unistd.h>

enum { LINE = 64, BATCH = 1024, BUFFER = 1 << 20, ECHO = 1 << 16 };

enum mode { ASKING, HOLD, SINK, ECHOING, FLOOD, MEMBER, TRICKLE };

struct link {
  int fd;
  enum mode mode;
  uint64_t left;
  size_t block;
  char *held;
  size_t begin, end;
};

/* What is sent, and in its upper half what is received and of no interest. */
static char buffer[BUFFER];
static int loop, unix_domain;
static uint64_t counted;

static struct link *waiter;
static uint64_t awaited;

enum { GROUPS = 2, GROUP = 1024 };

static struct group {
  struct link *members[GROUP];
  size_t count, rounds;
} groups[GROUPS];

static size_t trickle_size, trickle_members;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(struct link *link, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = link};
  if (epoll_ctl(loop, EPOLL_CTL_MOD, link->fd, &event) < 0) fail("epoll_ctl");
}

static void drop(struct link *link) {
  close(link->fd);
  if (link->mode == MEMBER) {
    for (struct group *group = groups; group < groups + GROUPS; group++) {
      for (size_t i = 0; i < group->count; i++) {
        if (group->members[i] == link) group->members[i] = group->members[--group->count];
      }
    }
  }
  if (waiter == link) waiter = NULL;
  free(link->held);
  free(link);
}

static int is_lasting(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EINTR);
}

static void tell_waiter(void) {
  char line[LINE];
  if (waiter == NULL || counted < awaited) return;
  int length = snprintf(line, sizeof line, "%llu\n", (unsigned long long)counted);
  struct link *link = waiter;
  waiter = NULL;
  if (send(link->fd, line, length, MSG_NOSIGNAL) != length) fail("await");
}

static void send_to(struct group *group) {
  if (group->rounds == 0) return;
  group->rounds--;
  for (size_t i = 0; i < group->count; i++) {
    if (send(group->members[i]->fd, buffer, trickle_size, MSG_NOSIGNAL) != (ssize_t)trickle_size) fail("trickle");
  }
}

static void begin_to_trickle(void) {
  if (trickle_members == 0 || groups[0].count + groups[1].count < trickle_members) return;
  trickle_members = 0;
  send_to(&groups[0]);
  send_to(&groups[1]);
}

/* Returns whether the link still is one. */
static int flood(struct link *link) {
  while (link->left > 0) {
    size_t length = link->left < link->block ? link->left : link->block;
    ssize_t sent = send(link->fd, buffer, length, MSG_NOSIGNAL);
    if (is_lasting(sent)) return 1;
    if (sent < 0) return drop(link), 0;
    link->left -= sent;
  }
  link->mode = HOLD;
  watch(link, EPOLLIN);
  return 1;
}

static int flush_echo(struct link *link) {
  while (link->begin < link->end) {
    ssize_t sent = send(link->fd, link->held + link->begin, link->end - link->begin, MSG_NOSIGNAL);
    if (is_lasting(sent)) return watch(link, EPOLLOUT), 1;
    if (sent < 0) return drop(link), 0;
    link->begin += sent;
  }
  if (link->begin > 0) watch(link, EPOLLIN);
  link->begin = link->end = 0;
  return 1;
}

static void add_member(struct link *link, struct group *group) {
  if (group->count == GROUP) fail("member");
  group->members[group->count++] = link;
  link->mode = MEMBER;
  begin_to_trickle();
}

static int obey(struct link *link, const char *line) {
  unsigned long long one, two, three;
  if (strcmp(line, "hold") == 0) link->mode = HOLD;
  else if (strcmp(line, "sink") == 0) link->mode = SINK;
  else if (strcmp(line, "quit") == 0) exit(0);
  else if (strcmp(line, "reset") == 0) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return drop(link), 0;
  } else if (strcmp(line, "echo") == 0) {
    link->mode = ECHOING;
    link->held = malloc(ECHO);
    if (link->held == NULL) fail("malloc");
  } else if (sscanf(line, "member %llu", &one) == 1) {
    add_member(link, &groups[one % GROUPS]);
  } else if (sscanf(line, "await %llu", &one) == 1) {
    waiter = link;
    awaited = one;
    tell_waiter();
  } else if (sscanf(line, "flood %llu %llu", &one, &two) == 2) {
    if (one == 0 || one > BUFFER / 2) fail("flood");
    link->mode = FLOOD;
    link->block = one;
    link->left = two;
    watch(link, EPOLLOUT);
  } else if (sscanf(line, "trickle %llu %llu %llu", &one, &two, &three) == 3) {
    if (one > BUFFER / 2) fail("trickle");
    link->mode = TRICKLE;
    trickle_size = one;
    trickle_members = two;
    groups[0].rounds = groups[1].rounds = three;
    begin_to_trickle();
  } else {
    fprintf(stderr, "peer: what is %s?\n", line);
    exit(1);
  }
  return 1;
}

/* Reads the line and not a byte more: what follows it is for the mode it asks for. */
static int listen_to(struct link *link) {
  char line[LINE];
  ssize_t length = recv(link->fd, line, sizeof line - 1, MSG_PEEK);
  if (is_lasting(length)) return 1;
  if (length <= 0) return drop(link), 0;
  char *end = memchr(line, '\n', length);
  if (end == NULL) {
    if (length == sizeof line - 1) fail("line");
    return 1;
  }
  if (recv(link->fd, line, end - line + 1, 0) != end - line + 1) fail("recv");
  *end = 0;
  return obey(link, line);
}

static void on_readable(struct link *link) {
  ssize_t got;
  switch (link->mode) {
    case ASKING:
      listen_to(link);
      return;
    case SINK:
      /* TCP can forget bytes without copying them. */
      got = recv(link->fd, buffer + BUFFER / 2, BUFFER / 2, unix_domain ? 0 : MSG_TRUNC);
      break;
    case ECHOING:
      got = recv(link->fd, link->held, ECHO, 0);
      break;
    case TRICKLE:
      got = recv(link->fd, buffer + BUFFER / 2, 64, 0);
      break;
    default:
      got = recv(link->fd, buffer + BUFFER / 2, BUFFER / 2, 0);
  }
  if (is_lasting(got)) return;
  if (got <= 0) return drop(link);
  if (link->mode == SINK) {
    counted += got;
    tell_waiter();
  } else if (link->mode == ECHOING) {
    link->end = got;
    flush_echo(link);
  } else if (link->mode == TRICKLE) {
    for (ssize_t i = 0; i < got; i++) send_to(&groups[buffer[BUFFER / 2 + i] % GROUPS]);
  }
}

static void accept_all(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int one = 1;
    if (!unix_domain) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL) fail("calloc");
    link->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
  }
  if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) fail("accept");
}

static int listen_on_path(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) fail("path");
  strcpy(address.sun_path, path);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  return listener;
}

static int listen_on_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  return listener;
}

static int port_of(int listener) {
  struct sockaddr_in address = {0};
  socklen_t length = sizeof address;
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  return address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
}

int main(int argc, char **argv) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  signal(SIGPIPE, SIG_IGN);
  memset(buffer, 'x', sizeof buffer);
  loop = epoll_create1(0);
  unix_domain = argc > 1;
  int listener = unix_domain ? listen_on_path(argv[1]) : listen_on_port();
  if (listen(listener, 4096) < 0) fail("listen");
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
      struct link *link = events[i].data.ptr;
      if (events[i].data.ptr == &listener) accept_all(listener);
      else if (events[i].data.ptr == &parent) {
        if (read(parent, buffer, LINE) <= 0) return 0;
      } else if (link->mode == FLOOD) flood(link);
      else if (link->mode == ECHOING && link->begin < link->end) flush_echo(link);
      else on_readable(link);
    }
  }
}
