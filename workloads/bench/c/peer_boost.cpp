// peer_boost.cpp - Boost.Interprocess: cached_adaptive_pool, and managed_shared_memory's own allocate.
// The two processes hand offsets over through a one-producer, one-consumer ring in the same segment, and each has an
// allocator object, and so a cache, of its own. Source: Boost.Interprocess, "Allocators, containers and memory
// allocation algorithms".
#include "harness.h"

#include "duo.h"

#include <boost/interprocess/allocators/cached_adaptive_pool.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>

#include <memory>
#include <new>
#include <string>

namespace bip = boost::interprocess;

namespace {

struct Item {
    unsigned char bytes[BENCH_ITEM_BYTES];
};
using Pool = bip::cached_adaptive_pool<Item, bip::managed_shared_memory::segment_manager>;

constexpr uint64_t RING = 1024;
constexpr uint64_t CROSS_ITEMS = 16384;

struct Ring {
    alignas(64) uint64_t head;
    alignas(64) uint64_t tail;
    alignas(64) bip::managed_shared_memory::handle_t place[RING];
};

std::unique_ptr<bip::managed_shared_memory> segment;
std::unique_ptr<Pool> pool;
Ring *ring;

bool pair_batch(void *, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        Pool::pointer p = pool->allocate_one();
        Item *raw = p.get();
        bench_use(raw);
        pool->deallocate_one(p);
    }
    return true;
}

bool segment_batch(void *, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        void *p = segment->allocate(BENCH_ITEM_BYTES);
        bench_use(p);
        segment->deallocate(p);
    }
    return true;
}

bool singles_batch(void *, uint64_t n) {
    Pool::pointer item[BENCH_BULK];
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        for (auto &p : item) {
            p = pool->allocate_one();
        }
        void *all = item;
        bench_use(all);
        for (auto &p : item) {
            pool->deallocate_one(p);
        }
    }
    return true;
}

bool cross_open(void *) {
    pool.release(); // the parent's: this process must not give back the parent's cache
    pool = std::make_unique<Pool>(segment->get_segment_manager());
    return true;
}

bool cross_produce(void *, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        Item *p = pool->allocate_one().get();
        *reinterpret_cast<uint64_t *>(p) = i;
        uint64_t tail = ring->tail;
        while (tail - __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) >= RING) {
            bench_pause();
        }
        ring->place[tail % RING] = segment->get_handle_from_address(p);
        __atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
    }
    return true;
}

bool cross_consume(void *, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        uint64_t head = ring->head;
        while (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == head) {
            bench_pause();
        }
        Item *p = static_cast<Item *>(segment->get_address_from_handle(ring->place[head % RING]));
        __atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
        if (*reinterpret_cast<uint64_t *>(p) != i) {
            return false;
        }
        pool->deallocate_one(Pool::pointer(p));
    }
    return true;
}

void cross_close(void *) {
    pool.reset();
}

const duo_work cross_work = {cross_open, cross_produce, cross_consume, cross_close};

double run_pair() {
    return bench_best(pair_batch, nullptr);
}
double run_segment() {
    return bench_best(segment_batch, nullptr);
}
double run_singles() {
    return bench_best(singles_batch, nullptr);
}
double run_cross() {
    return duo_best(&cross_work, nullptr, CROSS_ITEMS);
}

const bench_case cases[] = {
    {"pair", run_pair}, {"segment", run_segment}, {"singles", run_singles}, {"cross", run_cross}};

} // namespace

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    const std::string name = "bench-boost-" + std::to_string(getpid());
    bip::shared_memory_object::remove(name.c_str());
    try {
        segment = std::make_unique<bip::managed_shared_memory>(bip::create_only, name.c_str(), 64u << 20);
        bip::shared_memory_object::remove(name.c_str()); // children inherit the mapping: the name is not needed
        // As many cached nodes as our largest bucket pair holds.
        pool = std::make_unique<Pool>(segment->get_segment_manager(), 256);
        ring = new (segment->allocate_aligned(sizeof(Ring), 64)) Ring();
    } catch (const bip::interprocess_exception &e) {
        fprintf(stderr, "managed_shared_memory: %s\n", e.what());
        return 1;
    }
    int status = BENCH_SERVE(cases);
    pool.reset();
    return status;
}
