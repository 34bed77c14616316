/*
 * The floor: what it costs to read every byte of some objects from one HTTP server and write it to another, in C, and nothing else. No
 * listing, ledger, signature, checksum or retry; one connection to each side, one thread, large reads.
 *
 *     relay [-tls] HOST PORT PART_BYTES < list      one line an object: /bucket/key SIZE /bucket/key
 *
 * Ranges of PART_BYTES are read with GET and written with one PUT each.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, HEAD = 16 << 10 };

struct side {
  int fd;
  SSL *ssl;
};

static void die(const char *what) {
  fprintf(stderr, "relay: %s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static struct side open_side(const char *host, const char *port, SSL_CTX *context) {
  struct side side = {socket(AF_INET, SOCK_STREAM, 0), NULL};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  int one = 1;
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("the host is no IPv4 address");
  if (connect(side.fd, (struct sockaddr *)&address, sizeof address) != 0) die("cannot connect");
  setsockopt(side.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (context == NULL) return side;
  side.ssl = SSL_new(context);
  SSL_set_fd(side.ssl, side.fd);
  if (SSL_connect(side.ssl) != 1) die("the TLS handshake failed");
  return side;
}

static size_t get(struct side *side, char *into, size_t most) {
  ssize_t n = side->ssl != NULL ? SSL_read(side->ssl, into, (int)most) : read(side->fd, into, most);
  if (n <= 0) die("the connection was closed");
  return (size_t)n;
}

static void put(struct side *side, const char *from, size_t length) {
  while (length > 0) {
    ssize_t n = side->ssl != NULL ? SSL_write(side->ssl, from, (int)length) : write(side->fd, from, length);
    if (n <= 0) die("the connection was closed while writing");
    from += n;
    length -= (size_t)n;
  }
}

/* Reads a head; what came of the body behind it stands at the start of `buffer`. Returns the body's length, `*held` of it are there. */
static long read_head(struct side *side, char *buffer, size_t *held) {
  size_t filled = 0;
  for (;;) {
    filled += get(side, buffer + filled, HEAD - 1 - filled);
    buffer[filled] = 0;
    char *end = strstr(buffer, "\r\n\r\n");
    if (end == NULL) {
      if (filled >= HEAD - 1) die("the head is too long");
      continue;
    }
    if (strncmp(buffer, "HTTP/1.1 2", 10) != 0) die(buffer);
    long length = 0;
    for (char *line = strstr(buffer, "\r\n"); line < end; line = strstr(line + 2, "\r\n"))
      if (strncasecmp(line + 2, "content-length:", 15) == 0) length = atol(line + 17);
    *held = filled - (size_t)(end + 4 - buffer);
    memmove(buffer, end + 4, *held);
    return length;
  }
}

static void skip_answer(struct side *side, char *buffer) {
  size_t held;
  long left = read_head(side, buffer, &held) - (long)held;
  while (left > 0) left -= (long)get(side, buffer, BUFFER);
}

int main(int argc, char **argv) {
  SSL_CTX *context = NULL;
  if (argc > 1 && strcmp(argv[1], "-tls") == 0) {
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, BUFFER);
    argv++;
    argc--;
  }
  if (argc != 4) die("usage: relay [-tls] HOST PORT PART_BYTES < list");
  long part = atol(argv[3]);
  struct side from = open_side(argv[1], argv[2], context), to = open_side(argv[1], argv[2], context);
  char *buffer = malloc(BUFFER), source[4096], target[4096], head[2 * 4096 + 512];
  long size;
  while (scanf("%4095s %ld %4095s", source, &size, target) == 3) {
    for (long at = 0; at < size; at += part) {
      long length = size - at < part ? size - at : part;
      size_t held;
      int n = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: relay\r\nRange: bytes=%ld-%ld\r\n\r\n", source, at, at + length - 1);
      put(&from, head, (size_t)n);
      if (read_head(&from, buffer, &held) != length) die("the range has another length");
      n = snprintf(head, sizeof head, "PUT %s.%ld HTTP/1.1\r\nHost: relay\r\nContent-Length: %ld\r\n\r\n", target, at, length);
      put(&to, head, (size_t)n);
      put(&to, buffer, held);
      for (long left = length - (long)held; left > 0;) {
        size_t some = get(&from, buffer, left < BUFFER ? (size_t)left : BUFFER);
        put(&to, buffer, some);
        left -= (long)some;
      }
      skip_answer(&to, buffer);
    }
  }
  return 0;
}
