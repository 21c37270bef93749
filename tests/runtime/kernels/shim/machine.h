// A GPU's block on one CPU thread: each of its threads is a fibre that runs until it has to wait for others, and which
// fibre goes on is drawn by the schedule's seed. Shared memory starts as poison, and whoever waits for what never comes
// ends the launch with an error, as a GPU would hang.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(DIS2_RACES)
extern "C" {
void dis2_races_launch();
void dis2_races_block(unsigned number, void* memory, size_t bytes);
void dis2_races_barrier();
void dis2_races_thread(int number);
void dis2_races_mute(int by);
void dis2_races_touch(const void* begin, size_t bytes, int write, int atomic);
void dis2_races_copy(void* to, size_t bytes, int flying);
const char* dis2_races_found();
}
#else
inline void dis2_races_launch() {}
inline void dis2_races_block(unsigned, void*, size_t) {}
inline void dis2_races_barrier() {}
inline void dis2_races_thread(int) {}
inline void dis2_races_mute(int) {}
inline void dis2_races_touch(const void*, size_t, int, int) {}
inline void dis2_races_copy(void*, size_t, int) {}
inline const char* dis2_races_found() { return ""; }
#endif

namespace dis2 {

struct Mute {  // what the machine does itself is no access of a kernel's
    Mute() { dis2_races_mute(1); }
    ~Mute() { dis2_races_mute(-1); }
};

constexpr int WARP = 32;
constexpr size_t STACK = 64 << 10;
constexpr unsigned char POISON = 0xff;  // NaN as a half and as a float, -1 as an integer

struct Index { unsigned x, y, z; };
struct Copy { void* to; const void* from; bool valid; int group; };
enum class State { ready, at_barrier, at_warp, done };

struct Fibre {
    ucontext_t context;
    void* fake_stack = nullptr;
    std::unique_ptr<char[]> stack;
    Index thread;
    int number = 0;
    State state = State::ready;
    int line = 0;                // where it waits
    const void* given = nullptr; // what it brings to its warp
    std::vector<Copy> copies;    // begun and not finished
    int group = 0;               // number of the group that is open
};

struct Warp { int waiting = 0, line = 0; const char* what = nullptr; };

struct Block {
    Index grid, index, size;
    std::vector<Fibre> fibres;
    std::vector<Warp> warps;
    std::vector<int> ready;
    std::unique_ptr<unsigned char[]> shared;
    std::function<void()> body;
    Fibre* running = nullptr;
    ucontext_t home;
    void* home_fake_stack = nullptr;
    const void* home_stack = nullptr;
    size_t home_size = 0;
    uint64_t draw = 0;
    unsigned seed = 0;
    int waiting = 0;
    std::string problem;
};

inline Block*& block() {
    static Block* one = nullptr;
    return one;
}

inline unsigned& schedule() {
    static unsigned seed = 0;
    return seed;
}

inline std::string& problem() {
    static std::string text;
    return text;
}

inline uint64_t drawn() {  // xorshift: the same schedule for the same seed, everywhere
    uint64_t& x = block()->draw;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return x;
}

inline void enter(ucontext_t* from, void** keep, ucontext_t* to, const void* stack, size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(keep, stack, size);
#else
    (void)keep, (void)stack, (void)size;
#endif
    swapcontext(from, to);
}

inline void entered(void* kept, const void** stack, size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(kept, stack, size);
#else
    (void)kept, (void)stack, (void)size;
#endif
}

inline void leave(State state, int line) {  // back to the scheduler, until somebody sets this fibre ready
    Block* now = block();
    Fibre* self = now->running;
    self->state = state, self->line = line;
    void** keep = state == State::done ? nullptr : &self->fake_stack;
    enter(&self->context, keep, &now->home, now->home_stack, now->home_size);
    entered(self->fake_stack, nullptr, nullptr);
}

inline void wake(Fibre& fibre) {
    fibre.state = State::ready;
    block()->ready.push_back(fibre.number);
}

inline void fibre_main() {
    entered(nullptr, &block()->home_stack, &block()->home_size);
    block()->body();
    leave(State::done, 0);
}

inline void fail(const std::string& what) {
    if (block()->problem.empty()) block()->problem = what;
}

inline void barrier(int line) {
    Block* now = block();
    if (++now->waiting < static_cast<int>(now->fibres.size())) return leave(State::at_barrier, line);
    now->waiting = 0;
    dis2_races_barrier();
    for (Fibre& fibre : now->fibres) {
        if (&fibre == now->running) continue;
        if (fibre.line != line) fail("threads met at barriers of lines " + std::to_string(fibre.line) + " and " + std::to_string(line));
        wake(fibre);
    }
    now->ready.push_back(now->running->number);  // the last to come need not be the first to go
    leave(State::ready, line);
}

// Bring `mine` to the warp; when all 32 have come, `act(all)` is done once by the last, and all go on.
template <typename T, typename Act> void together(const char* what, int line, T* mine, Act act) {
    Block* now = block();
    Fibre* self = now->running;
    int first = self->number / WARP * WARP;
    Warp& warp = now->warps[self->number / WARP];
    if (warp.waiting && warp.what != what) fail(std::string("a warp met for ") + warp.what + " and " + what);
    if (warp.waiting && warp.line != line)  // two instructions: each would wait for half a warp
        fail(std::string("a warp met for ") + what + " at lines " + std::to_string(warp.line) + " and " + std::to_string(line));
    warp.what = what, warp.line = line, self->given = mine;
    if (++warp.waiting < WARP) return leave(State::at_warp, line);
    warp.waiting = 0;
    T* all[WARP];
    for (int lane = 0; lane < WARP; ++lane) {
        Fibre& fibre = now->fibres[first + lane];
        all[lane] = static_cast<T*>(const_cast<void*>(fibre.given));
        if (&fibre != self) wake(fibre);
    }
    Mute mute;
    act(all);
}

inline int next_place() {  // which of the ready fibres goes on; the first two seeds are plain orders
    Block* now = block();
    size_t count = now->ready.size();
    if (now->seed >= 2) return static_cast<int>(drawn() % count);
    int best = 0;
    for (size_t place = 1; place < count; ++place)
        if ((now->ready[place] < now->ready[best]) == (now->seed == 0)) best = static_cast<int>(place);
    return best;
}

inline void start(Fibre& fibre) {
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.get();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, fibre_main, 0);
}

inline void run_block(Block& now, size_t shared_bytes) {
    now.shared.reset(new unsigned char[shared_bytes]);  // to the byte, so that a sanitizer sees what goes beyond
    memset(now.shared.get(), POISON, shared_bytes);
    dis2_races_block((now.index.z * now.grid.y + now.index.y) * now.grid.x + now.index.x, now.shared.get(), shared_bytes);
    now.waiting = 0;
    now.ready.clear();
    for (Fibre& fibre : now.fibres) {
        fibre.copies.clear(), fibre.group = 0;
        start(fibre);
        wake(fibre);
    }
    while (!now.ready.empty() && now.problem.empty()) {
        int place = next_place();
        Fibre& fibre = now.fibres[now.ready[place]];
        now.ready[place] = now.ready.back();
        now.ready.pop_back();
        now.running = &fibre;
        dis2_races_thread(fibre.number);
        enter(&now.home, &now.home_fake_stack, &fibre.context, fibre.stack.get(), STACK);
        entered(now.home_fake_stack, nullptr, nullptr);
    }
    for (const Fibre& fibre : now.fibres)
        if (fibre.state != State::done) fail("a thread waits at line " + std::to_string(fibre.line) + " for threads that have ended");
    if (*dis2_races_found()) fail(dis2_races_found());
}

}  // namespace dis2
