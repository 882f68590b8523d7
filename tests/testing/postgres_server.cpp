// Starts PostgreSQL for a test: initdb, then the server, as a user that is not root.
#include "testing/postgres_server.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace lathe::testing {
namespace {

constexpr uid_t kNobody = 65534;

[[noreturn]] void cannot(const std::string& what) {
  std::fprintf(stderr, "PostgreSQL for tests: %s\n", what.c_str());
  std::abort();
}

// Debian keeps them out of PATH.
fs::path programs() {
  std::vector<fs::path> found;
  std::error_code none;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none))
    if (fs::exists(version.path() / "bin/initdb")) found.push_back(version.path() / "bin");
  if (found.empty()) cannot("not installed; tools/install-packages.sh unit installs it");
  return *std::ranges::max_element(found);
}

// As a user that is not root, and gone when this process is: SIGQUIT ends a server at once.
pid_t spawn(const std::vector<std::string>& words, const fs::path& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid != 0) return pid;
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  ::dup2(out, 1);
  ::dup2(out, 2);
  if (::geteuid() == 0 && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(126);
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != parent) ::_exit(125);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

PostgresServer::PostgresServer(bool durable) : durable_(durable) {
  std::string name = (fs::temp_directory_path() / "lathe-pg.XXXXXX").string();
  if (!::mkdtemp(name.data())) cannot("cannot make " + name);
  directory_ = name;
  if (::geteuid() == 0 && ::chown(name.c_str(), kNobody, kNobody) != 0) cannot("cannot chown");
  const pid_t pid =
      spawn({(programs() / "initdb").string(), "-D", name + "/data", "-U", "lathe", "-A", "trust",
             "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"},
            directory_ / "log");
  int status = -1;
  ::waitpid(pid, &status, 0);
  if (status != 0) cannot("initdb failed: " + read_file(directory_ / "log").value_or(""));
  start();
}

PostgresServer::~PostgresServer() {
  if (pid_ > 0) {
    ::kill(pid_, SIGQUIT);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void PostgresServer::start() {
  const std::vector<std::string> words{
      (programs() / "postgres").string(),
      "-D",
      (directory_ / "data").string(),
      "-k",
      directory_.string(),
      "-c",
      port_ > 0 ? "listen_addresses=127.0.0.1" : "listen_addresses=",
      "-c",
      durable_ ? "fsync=on" : "fsync=off",
      "-c",
      "max_connections=60",
      "-c",
      "shared_buffers=32MB",
      "-p",
      std::to_string(port_ > 0 ? port_ : 5432)};
  pid_ = spawn(words, directory_ / "log");
  for (int tries = 0; tries < 1200; ++tries) {
    if (PQping(address().c_str()) == PQPING_OK) return;
    // While processes of one that was killed still end, none starts.
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = spawn(words, directory_ / "log");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  cannot("does not start: " + read_file(directory_ / "log").value_or(""));
}

void PostgresServer::kill() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

PostgresServer::Far PostgresServer::go_far(const std::string& database) {
  const std::string data = (directory_ / "data").string();
  // An authority and a certificate by it, twice: the server's and the client's, and a stranger's.
  const std::string make =
      "set -e; cd " + directory_.string() +
      "; exec 2>openssl.log"
      "; sign() { openssl req -new -newkey ed25519 -nodes -keyout $1.key -subj /CN=$2 | openssl "
      "x509 -req -days 2 -CA $3.crt -CAkey $3.key -CAcreateserial -out $1.crt; }"
      "; for each in root foreign; do openssl req -x509 -newkey ed25519 -nodes -days 2 -keyout "
      "$each.key -out $each.crt -subj /CN=$each; done"
      "; sign server localhost root; sign client laptop root; sign stranger laptop foreign"
      "; chmod 600 *.key; cp server.crt server.key root.crt data/; chmod 600 data/server.key"
      "; printf 'local all all trust\nhostssl all all 127.0.0.1/32 cert\n' > data/pg_hba.conf"
      "; printf \"ssl=on\nssl_ca_file='root.crt'\n\" >> data/postgresql.auto.conf";
  if (std::system(make.c_str()) != 0)
    cannot("openssl: " + read_file(directory_ / "openssl.log").value_or(""));
  for (const char* file : {"server.crt", "server.key", "root.crt"})
    if (::geteuid() == 0 && ::chown((data + "/" + file).c_str(), kNobody, kNobody) != 0)
      cannot("cannot chown");
  kill();
  sockaddr_in free{};
  free.sin_family = AF_INET;
  free.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof free;
  const int held = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto* const name = reinterpret_cast<sockaddr*>(&free);
  if (::bind(held, name, size) != 0 || ::getsockname(held, name, &size) != 0) cannot("no port");
  ::close(held);
  port_ = ntohs(free.sin_port);
  start();
  return {"postgresql://laptop@localhost:" + std::to_string(port_) + "/" + database +
              "?hostaddr=127.0.0.1",
          directory_ / "root.crt",
          directory_ / "client.crt",
          directory_ / "client.key",
          directory_ / "stranger.crt",
          directory_ / "stranger.key"};
}

std::string PostgresServer::address(const std::string& database, const std::string& user) const {
  return "postgresql:///" + database + "?host=" + directory_.string() + "&user=" + user +
         (port_ > 0 ? "&port=" + std::to_string(port_) : "");
}

std::string PostgresServer::clear_database(const std::string& name, const std::string& clear) {
  const auto run = [&](const std::string& database, const std::string& sql) {
    PGconn* const connection = PQconnectdb(address(database).c_str());
    PQsetNoticeProcessor(
        connection, [](void*, const char*) {}, nullptr);
    PGresult* const result = PQexec(connection, sql.c_str());
    const ExecStatusType status = PQresultStatus(result);
    const std::string said = PQerrorMessage(connection);
    const std::string value = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    PQclear(result);
    PQfinish(connection);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) cannot(said);
    return value;
  };
  const std::string quoted = "'" + name + "'";
  if (run("postgres", "SELECT count(*) FROM pg_database WHERE datname = " + quoted) == "0") {
    run("postgres", "CREATE DATABASE " + name);
    return name;
  }
  // Locks of those that have left go with their processes, which takes a moment.
  while (run("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = " + quoted +
                             " AND backend_type = 'client backend'") != "0")
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  run(name, clear);
  return name;
}

}  // namespace lathe::testing
