// What Go programs on cilium/ebpf do: client SKELETON PERF CGROUP PINS. A collection is loaded with a constant of its
// own, its maps are iterated, batched and pinned, its ring buffer and perf events are read, and a link is made,
// updated, pinned and opened again.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func load(path string, constants map[string]interface{}) *ebpf.Collection {
	spec, err := ebpf.LoadCollectionSpec(path)
	must(err)
	must(spec.RewriteConstants(constants))
	coll, err := ebpf.NewCollection(spec)
	must(err)
	return coll
}

func run(prog *ebpf.Program, n int) uint32 {
	packet := make([]byte, n)
	copy(packet, "abcd")
	ret, _, err := prog.Test(packet)
	must(err)
	return ret
}

func maps(m *ebpf.Map, pins string) {
	var key uint32
	var value uint64
	var keys []int
	for it := m.Iterate(); it.Next(&key, &value); {
		keys = append(keys, int(key))
	}
	sort.Ints(keys)
	fmt.Println("keys", keys)
	fmt.Println("absent:", errors.Is(m.Lookup(uint32(7), &value), ebpf.ErrKeyNotExist))
	fmt.Println("there:", errors.Is(m.Update(uint32(keys[0]), uint64(1), ebpf.UpdateNoExist), ebpf.ErrKeyExist))
	n, err := m.BatchUpdate([]uint32{1, 2, 3}, []uint64{10, 20, 30}, nil)
	fmt.Println("batch", n, err)
	var next uint32
	seen, values := make([]uint32, 16), make([]uint64, 16)
	n, err = m.BatchLookup(nil, &next, seen, values, nil)
	fmt.Println("batch", n, errors.Is(err, ebpf.ErrKeyNotExist))
	path := filepath.Join(pins, "go_map")
	must(m.Pin(path))
	again, err := ebpf.LoadPinnedMap(path, nil)
	must(err)
	must(again.Lookup(uint32(2), &value))
	fmt.Println("pinned", value, again.Type(), again.MaxEntries())
	info, err := again.Info()
	must(err)
	fmt.Println("name", info.Name)
	must(m.Unpin())
}

func records(coll *ebpf.Collection) {
	rd, err := ringbuf.NewReader(coll.Maps["events"])
	must(err)
	fmt.Println("runs", run(coll.Programs["count"], 60), run(coll.Programs["count"], 100))
	for i := 0; i < 2; i++ {
		record, err := rd.Read()
		must(err)
		fmt.Println("record", record.RawSample)
	}
	time.AfterFunc(50*time.Millisecond, func() { rd.Close() })
	_, err = rd.Read()
	fmt.Println("closed:", errors.Is(err, ringbuf.ErrClosed))
}

func links(coll *ebpf.Collection, cgroup, pins string) {
	l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: ebpf.AttachCGroupInetEgress,
		Program: coll.Programs["count"]})
	must(err)
	info, err := l.Info()
	must(err)
	fmt.Println("link", info.Type == link.CgroupType, info.Program != 0)
	path := filepath.Join(pins, "go_link")
	must(l.Pin(path))
	must(l.Update(coll.Programs["count"]))
	must(l.Close())
	again, err := link.LoadPinnedLink(path, nil)
	must(err)
	must(again.Unpin())
	must(again.Close())
}

func events(coll *ebpf.Collection) {
	rd, err := perf.NewReader(coll.Maps["events"], 4096)
	must(err)
	for i := 0; i < 3; i++ {
		fmt.Println("run", run(coll.Programs["perf_output"], 64))
	}
	for i := 0; i < 3; i++ {
		record, err := rd.Read()
		must(err)
		fmt.Println("record", record.RawSample, record.LostSamples)
	}
	must(rd.Pause())
	fmt.Println("paused", run(coll.Programs["perf_output"], 64))
	must(rd.Resume())
	fmt.Println("resumed", run(coll.Programs["perf_output"], 64))
	time.AfterFunc(50*time.Millisecond, func() { rd.Close() })
	for err == nil {
		_, err = rd.Read()
	}
	fmt.Println("closed:", errors.Is(err, perf.ErrClosed))
}

func main() {
	must(rlimit.RemoveMemlock())
	coll := load(os.Args[1], map[string]interface{}{"step": uint32(5)})
	records(coll)
	maps(coll.Maps["by_len"], os.Args[4])
	links(coll, os.Args[3], os.Args[4])
	coll.Close()
	output := load(os.Args[2], nil)
	events(output)
	output.Close()
	_, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL"})
	fmt.Println("refused:", err != nil)
}
