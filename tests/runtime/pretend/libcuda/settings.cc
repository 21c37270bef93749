// What the tests ask of the pretend GPU, by environment: what it is, and which calls are to fail.
//
//   PRETEND_GPU       name=Thor;cc=11.0;sms=20;integrated=1;memory=1048576;driver=13000
//   PRETEND_GPU_FAIL  cuMemAlloc:3=2;kernel:1=700;cuInit=100
//
// A failure is `call:n=code` (the nth call from when this text was set) or `call=code` (every call). The name `kernel`
// is the running of a kernel, whose failure comes out later and sticks. Both are read anew whenever they change.
#include "pretend.hh"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

namespace pretend {
namespace {

struct Failure {
    std::string call;
    long nth;  // 0: every call
    CUresult code;
};

std::string plan_text;
std::vector<Failure> plan;
std::map<std::string, long> since_plan, calls;
std::string device_text;
Settings device;
CUresult stuck_code = CUDA_SUCCESS;
long misuses = 0;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::vector<std::pair<std::string, std::string>> pairs(const std::string& text) {
    std::vector<std::pair<std::string, std::string>> found;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ';');) {
        const auto equals = part.find('=');
        if (equals != std::string::npos) found.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
    return found;
}

void read_device(const std::string& text) {
    device = Settings{};
    for (const auto& [key, value] : pairs(text)) {
        if (key == "name") device.name = value;
        else if (key == "cc") std::sscanf(value.c_str(), "%d.%d", &device.major, &device.minor);
        else if (key == "sms") device.multiprocessors = std::atoi(value.c_str());
        else if (key == "integrated") device.integrated = std::atoi(value.c_str());
        else if (key == "memory") device.memory = std::strtoull(value.c_str(), nullptr, 10);
        else if (key == "driver") device.driver = std::atoi(value.c_str());
        else { std::fprintf(stderr, "pretend GPU: PRETEND_GPU has no key %s\n", key.c_str()); std::abort(); }
    }
}

void read_plan(const std::string& text) {
    plan.clear();
    since_plan.clear();
    for (const auto& [key, value] : pairs(text)) {
        const auto colon = key.find(':');
        const long nth = colon == std::string::npos ? 0 : std::atol(key.c_str() + colon + 1);
        plan.push_back({key.substr(0, colon), nth, static_cast<CUresult>(std::atoi(value.c_str()))});
    }
}

bool sticks(CUresult code) {
    static const std::set<int> sticky = {700, 702, 710, 714, 715, 716, 717, 718, 719};
    return sticky.count(static_cast<int>(code)) != 0;
}

}  // namespace

std::recursive_mutex& mutex() {
    static auto* one = new std::recursive_mutex;  // never destroyed: threads may outlive main
    return *one;
}

const Settings& settings() {
    Lock lock(mutex());
    const std::string text = environment("PRETEND_GPU");
    if (text != device_text) read_device(device_text = text);
    return device;
}

CUresult planned(const char* call) {
    Lock lock(mutex());
    const std::string text = environment("PRETEND_GPU_FAIL");
    if (text != plan_text) read_plan(plan_text = text);
    const long now = ++since_plan[call];
    for (const auto& failure : plan)
        if (failure.call == call && (failure.nth == 0 || failure.nth == now))
            return sticks(failure.code) ? stick(failure.code) : failure.code;
    return CUDA_SUCCESS;
}

CUresult count(const char* call) {
    Lock lock(mutex());
    ++calls[call];
    return planned(call);
}

CUresult enter(const char* call, bool needs_context) {
    if (CUresult failed = count(call)) return failed;
    if (!initialised()) return CUDA_ERROR_NOT_INITIALIZED;
    if (needs_context && !has_context()) return CUDA_ERROR_INVALID_CONTEXT;
    return stuck_code;
}

CUresult misuse(CUresult code, const std::string& what) {
    ++misuses;
    std::fprintf(stderr, "pretend GPU: %s\n", what.c_str());
    return code;
}

CUresult stick(CUresult code) { return stuck_code = code; }
CUresult stuck() { return stuck_code; }

}  // namespace pretend

// For tests only; a real libcuda has none of these.
extern "C" {
// How often `call` was called; the name is without a version, and `kernel` counts kernels that ran.
long pretend_calls(const char* call) {
    pretend::Lock lock(pretend::mutex());
    const auto found = pretend::calls.find(call);
    return found == pretend::calls.end() ? 0 : found->second;
}
// Misuses that were told on stderr: freed twice, copied out of bounds, a guard overwritten.
long pretend_misuses() { return pretend::misuses; }
// What a kernel's failure does, for work that is no kernel.
void pretend_break(int code) {
    pretend::Lock lock(pretend::mutex());
    pretend::stick(static_cast<CUresult>(code));
}
// A new process, as far as it goes: no failure sticks, no memory, no work, counts at zero.
void pretend_forget() {
    pretend::Lock lock(pretend::mutex());
    pretend::forget_streams();
    pretend::forget_graphs();
    pretend::forget_modules();
    pretend::forget_memory();
    pretend::stuck_code = CUDA_SUCCESS;
    pretend::misuses = 0;
    pretend::calls.clear();
    pretend::plan_text = "";
    pretend::read_plan("");
}
}
