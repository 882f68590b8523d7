//: contained = a file over its size limit
#include <fcntl.h>
#include <unistd.h>
static char chunk[1 << 16];
int main(void) {
  int fd = open("big", O_CREAT | O_WRONLY, 0600);
  while (1) write(fd, chunk, sizeof chunk);
}
