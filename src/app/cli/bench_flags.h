// What `lathe bench` is asked for, and the parts that its command is composed of.
#pragma once

#include "app/bench/bench.h"
#include "app/bench/preflight.h"
#include "app/bench/side_by_side.h"
#include "app/bench/signature.h"
#include "app/cli/local_model.h"
#include "serve/pool/pool.h"

namespace lathe::app {

// Where a record goes. "": not written, not signed.
struct RecordFiles {
  std::string out = {}, html = {}, sign = {};
};

struct BenchFlags {
  std::vector<std::string> models;
  std::string profile = "quick";  // quick, full, serve or sustained
  ModelFlags model;
  BenchPlan plan;
  ServePlan serve;
  std::string cache = "cold";
  std::string seconds = "60s", minutes = "30";
  std::vector<std::string> against;  // URLs, URL#MODEL
  std::string allow = "local";
  std::string beside;   // llama-server:BIN[:ARGS]
  std::string quality;  // the bigger file of the same models; "": not looked at
  std::size_t quality_tokens = QualityPlan{}.tokens;
  RecordFiles files;
  bool force = false;
};

// A model in a pool of its own, which measures it as a server would.
struct PooledModel {
  std::unique_ptr<serve::Pool> pool;
  std::unique_ptr<Target> target;
};
Result<PooledModel> open_pooled(const App& app, const ModelFlags& flags);

// What holds off the tokens that end an answer, so that all are of one length.
Result<std::map<int, double>> no_ends(const std::string& path);

// That the loads and times that are asked for can be.
Status check_plan(const BenchFlags& flags);
// The member of the record for one model: its file, its rows, its turns.
Result<Json> measure_model(const App& app, const BenchFlags& flags, const std::string& path);
// The same for a server: its turns alone.
Result<Json> measure_server(const App& app, const BenchFlags& flags, const std::string& url);

// What the file says of the model.
Result<Json> file_json(const std::string& path, const std::string& sha256);

// --quality: why the model and the bigger one cannot be compared here, from their headers alone.
Status check_quality(const BenchFlags& flags, const std::string& path);
// The member of the model's record; kNotChecked when it was stopped before anything was complete.
Result<Json> measure_quality(const App& app, const BenchFlags& flags, const std::string& path);
inline constexpr std::string_view kNotChecked = "not checked";

// That they can be written, and the key be signed with, before anything is measured.
Status check_record_files(const RecordFiles& files, bool force);
Status write_record(const App& app, const RecordFiles& files, const Json& record);

// --compare.
Status compare_records(const App& app, const std::string& a, const std::string& b);
// `lathe bench verify`.
struct VerifyFlags {
  std::string file, allowed, identity;
};
void add_bench_verify(CLI::App& bench, App& app, Action& action);
// `lathe bench grid`.
void add_bench_grid(CLI::App& bench, App& app, Action& action);
// ssh-keygen, with what it needs of this process's environment.
Result<SshKeygen> find_ssh_keygen();

// Lines for a terminal.
std::string row_line(const BenchRow& row);
std::string point_line(const Point& point);
std::string serve_lines(const ServeResult& result);
std::string quality_lines(const QualityFigures& figures);
std::string sustained_lines(const SustainedResult& result);

}  // namespace lathe::app
