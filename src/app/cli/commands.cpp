// The table of commands. To add one: a file, and a row here.
#include "app/cli/app.h"

namespace lathe::app {

void add_approvals(CLI::App& cli, App& app, Action& action);
void add_bench(CLI::App& cli, App& app, Action& action);
void add_capacity(CLI::App& cli, App& app, Action& action);
void add_chats(CLI::App& cli, App& app, Action& action);
void add_logits(CLI::App& cli, App& app, Action& action);
void add_models(CLI::App& cli, App& app, Action& action);
void add_open(CLI::App& cli, App& app, Action& action);
void add_perplexity(CLI::App& cli, App& app, Action& action);
void add_run(CLI::App& cli, App& app, Action& action);
void add_completion(CLI::App& cli, App& app, Action& action);
void add_consent(CLI::App& cli, App& app, Action& action);
void add_device(CLI::App& cli, App& app, Action& action);
void add_doctor(CLI::App& cli, App& app, Action& action);
void add_egress(CLI::App& cli, App& app, Action& action);
void add_embed(CLI::App& cli, App& app, Action& action);
void add_encode(CLI::App& cli, App& app, Action& action);
void add_transcribe(CLI::App& cli, App& app, Action& action);
void add_speak(CLI::App& cli, App& app, Action& action);
void add_eval(CLI::App& cli, App& app, Action& action);
void add_export(CLI::App& cli, App& app, Action& action);
void add_fleet(CLI::App& cli, App& app, Action& action);
void add_fix(CLI::App& cli, App& app, Action& action);
void add_fit(CLI::App& cli, App& app, Action& action);
void add_gc(CLI::App& cli, App& app, Action& action);
void add_imatrix(CLI::App& cli, App& app, Action& action);
void add_index(CLI::App& cli, App& app, Action& action);
void add_import(CLI::App& cli, App& app, Action& action);
void add_judge(CLI::App& cli, App& app, Action& action);
void add_key(CLI::App& cli, App& app, Action& action);
void add_ledger(CLI::App& cli, App& app, Action& action);
void add_link(CLI::App& cli, App& app, Action& action);
void add_loop(CLI::App& cli, App& app, Action& action);
void add_manual(CLI::App& cli, App& app, Action& action);
void add_mcp(CLI::App& cli, App& app, Action& action);
void add_memory(CLI::App& cli, App& app, Action& action);
void add_merge(CLI::App& cli, App& app, Action& action);
void add_payback(CLI::App& cli, App& app, Action& action);
void add_plan(CLI::App& cli, App& app, Action& action);
void add_prices(CLI::App& cli, App& app, Action& action);
void add_pull(CLI::App& cli, App& app, Action& action);
void add_queue(CLI::App& cli, App& app, Action& action);
void add_quantize(CLI::App& cli, App& app, Action& action);
void add_recipe(CLI::App& cli, App& app, Action& action);
void add_rejudge(CLI::App& cli, App& app, Action& action);
void add_replay(CLI::App& cli, App& app, Action& action);
void add_report(CLI::App& cli, App& app, Action& action);
void add_resume(CLI::App& cli, App& app, Action& action);
void add_rm(CLI::App& cli, App& app, Action& action);
void add_runs(CLI::App& cli, App& app, Action& action);
void add_serve(CLI::App& cli, App& app, Action& action);
void add_ps(CLI::App& cli, App& app, Action& action);
void add_show(CLI::App& cli, App& app, Action& action);
void add_talk(CLI::App& cli, App& app, Action& action);
void add_tokenize(CLI::App& cli, App& app, Action& action);
void add_tune(CLI::App& cli, App& app, Action& action);

std::span<const CommandSpec> commands() {
  static constexpr CommandSpec kCommands[] = {
      {add_link},     {add_loop},       {add_fix},        {add_resume},     {add_recipe},
      {add_judge},    {add_runs},       {add_show},       {add_report},     {add_rejudge},
      {add_replay},   {add_export},     {add_rm},         {add_gc},         {add_doctor},
      {add_tokenize}, {add_run},        {add_perplexity}, {add_logits},     {add_embed},
      {add_encode},   {add_transcribe}, {add_speak},      {add_bench},      {add_eval},
      {add_capacity}, {add_import},     {add_imatrix},    {add_quantize},   {add_fit},
      {add_serve},    {add_ps},         {add_tune},       {add_merge},      {add_pull},
      {add_models},   {add_egress},     {add_manual},     {add_completion}, {add_ledger},
      {add_prices},   {add_payback},    {add_key},        {add_queue},      {add_open},
      {add_mcp},      {add_talk},       {add_approvals},  {add_index},      {add_memory},
      {add_consent},  {add_plan},       {add_fleet},      {add_device},     {add_chats},
  };
  return kCommands;
}

}  // namespace lathe::app
