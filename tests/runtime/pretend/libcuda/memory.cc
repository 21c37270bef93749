// Memory of the pretend GPU: aligned to 256 bytes, poisoned with 0xFF (not a number, as a float or a half), and with a
// guard on both sides that is looked at after each kernel and when it is freed.
#include "pretend.hh"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>

namespace pretend {
namespace {

constexpr std::size_t alignment = 256, guard = 512;
constexpr unsigned char guard_byte = 0xA5, poison = 0xFF;
constexpr std::size_t quarantined = 32;

std::map<std::uintptr_t, Piece> pieces;
std::deque<void*> quarantine;  // freed a while ago: a late write hits nobody
std::size_t taken = 0;

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

std::size_t rounded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

CUresult take(std::size_t bytes, Kind kind, unsigned char** start) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > settings().memory || taken + rounded(bytes) > settings().memory) return CUDA_ERROR_OUT_OF_MEMORY;
    const std::size_t whole = guard + rounded(bytes) + guard;
    auto* block = static_cast<unsigned char*>(std::aligned_alloc(alignment, whole));
    if (!block) return CUDA_ERROR_OUT_OF_MEMORY;
    std::memset(block, guard_byte, whole);
    *start = block + guard;
    std::memset(*start, poison, bytes);
    pieces[number(*start)] = {kind, *start, bytes, block};
    taken += rounded(bytes);
    return CUDA_SUCCESS;
}

bool intact(const Piece& piece) {
    if (!piece.block) return true;
    const unsigned char* end = piece.start + rounded(piece.bytes) + guard;
    for (const unsigned char* at = piece.start - guard; at < piece.start; ++at)
        if (*at != guard_byte) return false;
    for (const unsigned char* at = piece.start + piece.bytes; at < end; ++at)
        if (*at != guard_byte) return false;
    return true;
}

std::string named(const Piece& piece) {
    return std::to_string(piece.bytes) + " bytes of " + (piece.kind == Kind::device ? "device" : "page-locked") + " memory";
}

CUresult give(std::uintptr_t address, bool device, const char* call) {
    const auto found = pieces.find(address);
    if (found == pieces.end() || (found->second.kind == Kind::device) != device || !found->second.block)
        return misuse(CUDA_ERROR_INVALID_VALUE, std::string(call) + ": no such memory (freed twice?)");
    Piece piece = found->second;
    const bool whole = intact(piece);
    std::memset(piece.start, poison, piece.bytes);
    taken -= rounded(piece.bytes);
    pieces.erase(found);
    quarantine.push_back(piece.block);
    if (quarantine.size() > quarantined) {
        std::free(quarantine.front());
        quarantine.pop_front();
    }
    return whole ? CUDA_SUCCESS : misuse(stick(CUDA_ERROR_ILLEGAL_ADDRESS), "wrote outside " + named(piece));
}

}  // namespace

const Piece* find(std::uintptr_t address) {
    auto after = pieces.upper_bound(address);
    if (after == pieces.begin()) return nullptr;
    const Piece& piece = (--after)->second;
    return address < number(piece.start) + piece.bytes ? &piece : nullptr;
}

CUresult check_device(std::uintptr_t address, std::size_t bytes, const char* call) {
    const Piece* piece = find(address);
    if (piece && piece->kind != Kind::pinned && address + bytes <= number(piece->start) + piece->bytes)
        return CUDA_SUCCESS;
    const std::string where = piece ? "past the end of " + named(*piece) : "at no memory of the device";
    return misuse(CUDA_ERROR_INVALID_VALUE, std::string(call) + ": " + std::to_string(bytes) + " bytes " + where);
}

bool page_locked(const void* address, std::size_t bytes) {
    const Piece* piece = find(number(address));
    return piece && number(address) + bytes <= number(piece->start) + piece->bytes;
}

CUresult check_guards(const std::string& after) {
    for (const auto& [address, piece] : pieces)
        if (!intact(piece)) return misuse(CUDA_ERROR_ILLEGAL_ADDRESS, after + " wrote outside " + named(piece));
    return CUDA_SUCCESS;
}

void forget_memory() {
    for (const auto& [address, piece] : pieces) std::free(piece.block);
    pieces.clear();
    taken = 0;
}

}  // namespace pretend

using namespace pretend;

extern "C" {

CUresult cuMemAlloc(CUdeviceptr* address, std::size_t bytes) {
    PRETEND_ENTER(cuMemAlloc);
    if (CUresult refused = refuse_in_capture("cuMemAlloc")) return refused;
    unsigned char* start = nullptr;
    const CUresult result = take(bytes, Kind::device, &start);
    *address = number(start);
    return result;
}

CUresult cuMemFree(CUdeviceptr address) {
    {
        PRETEND_ENTER(cuMemFree);
        if (CUresult refused = refuse_in_capture("cuMemFree")) return refused;
        if (address == 0) return CUDA_SUCCESS;
    }
    if (CUresult failed = drain_all()) return failed;
    Lock lock(mutex());
    return give(address, true, "cuMemFree");
}

CUresult cuMemGetInfo(std::size_t* free_bytes, std::size_t* total) {
    PRETEND_ENTER(cuMemGetInfo);
    *total = settings().memory;
    *free_bytes = taken > *total ? 0 : *total - taken;
    return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange(CUdeviceptr* base, std::size_t* bytes, CUdeviceptr address) {
    PRETEND_ENTER(cuMemGetAddressRange);
    const Piece* piece = find(address);
    if (!piece) return CUDA_ERROR_NOT_FOUND;
    if (base) *base = number(piece->start);
    if (bytes) *bytes = piece->bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags) {
    PRETEND_ENTER(cuMemHostAlloc);
    if (CUresult refused = refuse_in_capture("cuMemHostAlloc")) return refused;
    unsigned char* start = nullptr;
    const CUresult result = take(bytes, flags & CU_MEMHOSTALLOC_DEVICEMAP ? Kind::mapped : Kind::pinned, &start);
    *address = start;
    return result;
}

CUresult cuMemFreeHost(void* address) {
    {
        PRETEND_ENTER(cuMemFreeHost);
        if (CUresult refused = refuse_in_capture("cuMemFreeHost")) return refused;
    }
    if (CUresult failed = drain_all()) return failed;
    Lock lock(mutex());
    return give(number(address), false, "cuMemFreeHost");
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr* device, void* host, unsigned) {
    PRETEND_ENTER(cuMemHostGetDevicePointer);
    const Piece* piece = find(number(host));
    if (!piece || piece->kind != Kind::mapped)
        return misuse(CUDA_ERROR_INVALID_VALUE, "asked for the device's address of host memory that is not mapped");
    *device = number(host);
    return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned* flags, void* host) {
    PRETEND_ENTER(cuMemHostGetFlags);
    const Piece* piece = find(number(host));
    if (!piece || piece->kind == Kind::device) return CUDA_ERROR_INVALID_VALUE;
    *flags = piece->kind == Kind::mapped ? CU_MEMHOSTALLOC_DEVICEMAP : 0;
    return CUDA_SUCCESS;
}

// Pieces of memory that are not freed yet, the device's and page-locked ones.
long pretend_pieces() {
    Lock lock(mutex());
    return static_cast<long>(pieces.size());
}
}
