// Who touched which byte: a race is two accesses of different threads, one a write, with no barrier of their block
// between them, whatever order the fibres ran in. The compiler calls us for each access (what it would tell
// ThreadSanitizer), the machine for what it does in a kernel's name. Built apart, without those calls.
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <string>
#include <vector>

namespace {

struct Visit {
    unsigned launch = 0, block = 0, epoch = 0;
    int thread = 0;
    bool atomic = false;
};

struct Cell {
    Visit write, read, other;  // `other`: one by another thread than `read`'s, in the same launch
    bool flying = false;       // an asynchronous copy brings it
};

struct Span {
    uintptr_t begin = 0, end = 0;
    std::vector<Cell> cells;
};

Visit now;
int muted = 0;
Span shared;
std::vector<Span> watched;
std::string found;

bool apart(const Visit& one) {  // nothing orders it before what is done now
    if (one.launch != now.launch) return false;
    return one.block != now.block || (one.epoch == now.epoch && one.thread != now.thread);
}

void tell(const char* what, const Visit& before, const char* how, const char* where, size_t offset, void* at) {
    if (!found.empty()) return;
    Dl_info file{};
    size_t place = at && dladdr(at, &file) ? static_cast<char*>(at) - static_cast<char*>(file.dli_fbase) : 0;
    char text[240];
    snprintf(text, sizeof text, "a race: thread %d of block %u %s byte %zu of %s, which thread %d of block %u %s (at %#zx)",
             now.thread, now.block, what, offset, where, before.thread, before.block, how, place);
    found = text;
}

void touch(Cell& cell, bool write, bool atomic, const char* where, size_t offset, void* at) {
    const char* what = atomic ? "adds to" : write ? "writes" : "reads";
    if (cell.flying) tell(what, cell.write, "has a copy on its way to", where, offset, at);
    if (apart(cell.write) && !(atomic && cell.write.atomic)) tell(what, cell.write, "wrote", where, offset, at);
    Visit mine = now;
    mine.atomic = atomic;
    if (!write) {
        if (cell.read.launch == now.launch && (cell.read.thread != now.thread || cell.read.block != now.block)) cell.other = cell.read;
        cell.read = mine;
        return;
    }
    for (const Visit* read : {&cell.read, &cell.other})
        if (apart(*read)) tell(what, *read, "read", where, offset, at);
    cell.write = mine;
}

Span* span_of(uintptr_t place) {
    if (place >= shared.begin && place < shared.end) return &shared;
    for (Span& span : watched) if (place >= span.begin && place < span.end) return &span;
    return nullptr;
}

void visit(const void* begin, size_t bytes, bool write, bool atomic, void* at) {
    uintptr_t place = reinterpret_cast<uintptr_t>(begin);
    Span* span = span_of(place);
    if (!span) return;
    const char* where = span == &shared ? "shared memory" : "global memory";
    for (uintptr_t end = place + bytes; place < end && place < span->end; ++place)
        touch(span->cells[place - span->begin], write, atomic, where, place - span->begin, at);
}

}  // namespace

#define SHOWN extern "C" __attribute__((visibility("default")))

SHOWN void dis2_races_watch(void* begin, size_t bytes) {  // global memory; nothing forgets the rest
    uintptr_t first = reinterpret_cast<uintptr_t>(begin);
    watched.push_back({first, first + bytes, std::vector<Cell>(bytes)});
}
SHOWN void dis2_races_forget() { watched.clear(); }

extern "C" {
void dis2_races_launch() { ++now.launch, now.epoch = 0, found.clear(); }
void dis2_races_block(unsigned number, void* memory, size_t bytes) {
    now.block = number, now.epoch = 0;
    uintptr_t first = reinterpret_cast<uintptr_t>(memory);
    shared.begin = first, shared.end = first + bytes, shared.cells.assign(bytes, Cell());
}
void dis2_races_barrier() { ++now.epoch; }
void dis2_races_thread(int number) { now.thread = number; }
void dis2_races_mute(int by) { muted += by; }
void dis2_races_touch(const void* begin, size_t bytes, int write, int atomic) { visit(begin, bytes, write, atomic, nullptr); }
void dis2_races_copy(void* to, size_t bytes, int flying) {
    uintptr_t place = reinterpret_cast<uintptr_t>(to);
    if (Span* span = span_of(place))
        for (size_t i = 0; i < bytes; ++i) span->cells[place - span->begin + i].flying = false;
    visit(to, bytes, true, false, nullptr);
    if (Span* span = span_of(place))
        for (size_t i = 0; i < bytes; ++i) span->cells[place - span->begin + i].flying = flying;
}
const char* dis2_races_found() { return found.c_str(); }

#define HEARD(name, bytes, write) \
    void __tsan_##name(void* place) { if (!muted) visit(place, bytes, write, false, __builtin_return_address(0)); }
#define HEARD_BOTH(size) \
    HEARD(read##size, size, false) HEARD(write##size, size, true) \
    HEARD(unaligned_read##size, size, false) HEARD(unaligned_write##size, size, true)
HEARD_BOTH(1) HEARD_BOTH(2) HEARD_BOTH(4) HEARD_BOTH(8) HEARD_BOTH(16)
void __tsan_read_range(void* place, size_t bytes) { if (!muted) visit(place, bytes, false, false, __builtin_return_address(0)); }
void __tsan_write_range(void* place, size_t bytes) { if (!muted) visit(place, bytes, true, false, __builtin_return_address(0)); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
unsigned char __tsan_atomic8_load(const volatile unsigned char* from, int) { return *from; }
}
