// The pretend GPU: a libcuda.so.1 of the tests' own, whose device memory is host memory and whose work really waits
// in its stream until somebody synchronises, so that a forgotten synchronisation shows as a wrong answer.
//
//   settings.cc  PRETEND_GPU, PRETEND_GPU_FAIL, counts      streams.cc  queues of work, events
//   device.cc    device, contexts                           modules.cc  x86 images, kernels, launches
//   memory.cc    guarded, poisoned allocations              graphs.cc   capture and replay
//   copies.cc    copies and fills                           errors.cc   names; addresses of functions
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pretend {

struct Settings {
    std::string name = "Orin (pretend)";
    int major = 8, minor = 7, multiprocessors = 16, integrated = 1, driver = 12060;
    std::size_t memory = std::size_t{1} << 30;
};

const Settings& settings();

// One lock for all state; let go while work runs, since a host function may need the interpreter's own lock.
using Lock = std::unique_lock<std::recursive_mutex>;
std::recursive_mutex& mutex();

// What every call passes first: counts it, fails it if that was asked for, else tells a failure that stuck.
CUresult enter(const char* call, bool needs_context = true);
// The same without the failure that stuck: for what still answers on a broken context.
CUresult count(const char* call);
CUresult planned(const char* call);
// Tells a misuse on stderr, counts it, and hands `code` on.
CUresult misuse(CUresult code, const std::string& what);
// A kernel's failure: every later call answers it, as on a real GPU, until pretend_forget().
CUresult stick(CUresult code);
CUresult stuck();
bool initialised();
bool has_context();

// Memory that stands in [address, address + bytes) and is the device's, or page-locked host memory.
enum class Kind { device, pinned, mapped };
struct Piece {
    Kind kind;
    unsigned char* start;
    std::size_t bytes;
    void* block;
};
const Piece* find(std::uintptr_t address);
// Whether all of the range is the device's to use; a misuse is told.
CUresult check_device(std::uintptr_t address, std::size_t bytes, const char* call);
bool page_locked(const void* address, std::size_t bytes);
// Looks at the guards around every allocation.
CUresult check_guards(const std::string& after);

// Work of a stream: done when its stream is drained, or recorded by a capture.
using Work = std::function<CUresult()>;
CUresult enqueue(CUstream stream, Work work);
bool capturing(CUstream stream);
// Whether this thread has a capture open that forbids calls like an allocation; breaks that capture.
CUresult refuse_in_capture(const char* call);
CUresult drain(CUstream stream);
CUresult drain_all();
void forget_streams();
void forget_graphs();
void forget_modules();
void forget_memory();

struct Capture;
}  // namespace pretend

#define PRETEND_ENTER(call)                                  \
    pretend::Lock lock(pretend::mutex());                    \
    if (CUresult failed = pretend::enter(#call)) return failed

#define PRETEND_ENTER_BARE(call)                             \
    pretend::Lock lock(pretend::mutex());                    \
    if (CUresult failed = pretend::count(#call)) return failed
