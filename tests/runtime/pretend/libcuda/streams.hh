// Streams and captures, for those files that look inside.
#pragma once

#include "pretend.hh"

#include <deque>
#include <thread>

struct CUgraph_st {
    std::vector<pretend::Work> nodes;
};

namespace pretend {
struct Capture {
    CUgraph graph;
    CUstream origin;
    CUstreamCaptureMode mode;
    std::thread::id thread;
    bool broken = false;
};
// Of cuEventRecord: done once the stream has come to it.
struct Mark {
    CUstream stream;
    std::shared_ptr<Capture> capture;
    bool done = false;
    double milliseconds = 0;
};
}  // namespace pretend

struct CUstream_st {
    bool blocking;
    std::deque<pretend::Work> queue;
    bool running;
    std::thread::id runner;
    std::shared_ptr<pretend::Capture> capture;
};

namespace pretend {
// Whether `stream` is the default one, which does its work at once after that of all blocking streams.
bool legacy(CUstream stream);
CUresult known(CUstream stream);
std::vector<CUstream>& streams();
}  // namespace pretend
