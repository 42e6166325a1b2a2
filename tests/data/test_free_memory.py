from gluon_tricks.data.free_memory import free_memory

MB = 1 << 20


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def machine(folder, groups, available=1000):
    write(folder / "proc/meminfo", f"MemTotal: 9 kB\nMemAvailable:  {available * 1024} kB\n")
    write(folder / "proc/self/cgroup", groups)
    return str(folder / "proc"), str(folder / "groups")


def limit(folder, most, used, stat):
    write(folder / "memory.max", f"{most}\n")
    write(folder / "memory.current", f"{used}\n")
    write(folder / "memory.stat", stat)


def test_without_limits_it_is_what_the_machine_has(tmp_path):
    limit(tmp_path / "groups", "max", 5, "")
    assert free_memory(*machine(tmp_path, "0::/\n")) == (1000 * MB, "of the machine")
    assert free_memory(str(tmp_path / "nothing"), "")[0] > 1 << 60


def test_a_groups_limit_counts_and_its_file_cache_is_free(tmp_path):
    limit(tmp_path / "groups/job/task", 500 * MB, 300 * MB, f"active_file {MB}\nshmem {9 * MB}\n")
    free, why = free_memory(*machine(tmp_path, "0::/job/task\n"))
    assert free == 201 * MB and why.endswith("groups/job/task")


def test_the_groups_above_count_too(tmp_path):
    limit(tmp_path / "groups/job/task", 500 * MB, 300 * MB, "")
    limit(tmp_path / "groups/job", 350 * MB, 300 * MB, f"inactive_file {MB}\nactive_file {MB}\n")
    assert free_memory(*machine(tmp_path, "0::/job/task\n"))[0] == 52 * MB


def test_in_a_container_the_group_is_at_the_root(tmp_path):
    limit(tmp_path / "groups", 10 * MB, 11 * MB, "")
    assert free_memory(*machine(tmp_path, "0::/docker/123\n"))[0] == 0


def test_the_older_kind_of_groups(tmp_path):
    folder = tmp_path / "groups/memory/job"
    write(folder / "memory.limit_in_bytes", f"{400 * MB}\n")
    write(folder / "memory.usage_in_bytes", f"{100 * MB}\n")
    write(folder / "memory.stat", f"active_file 7\ntotal_active_file {2 * MB}\n")
    groups = "5:cpu,memory:/job\n4:devices:/other\n"
    assert free_memory(*machine(tmp_path, groups))[0] == 302 * MB
