/*
 * bpf_client.h - the mini client library under the names of the first bpf(2) sample library
 *
 * For programs that do not use libbpf: some of these names are libbpf's, too, with other arguments.
 * The functions are described in ubpffs_client.h.
 */
#ifndef UBPFFS_BPF_CLIENT_H
#define UBPFFS_BPF_CLIENT_H

#include "ubpffs_client.h"

#define LOG_BUF_SIZE UBPFC_LOG_SIZE
#define bpf_log_buf  ubpfc_log_buf

#define bpf_create_map		   ubpfc_create_map
#define bpf_lookup_elem		   ubpfc_lookup_elem
#define bpf_lookup_elem_flags	   ubpfc_lookup_elem_flags
#define bpf_update_elem		   ubpfc_update_elem
#define bpf_delete_elem		   ubpfc_delete_elem
#define bpf_lookup_and_delete_elem ubpfc_lookup_and_delete_elem
#define bpf_get_next_key	   ubpfc_get_next_key
#define bpf_lookup_batch	   ubpfc_lookup_batch
#define bpf_update_batch	   ubpfc_update_batch
#define bpf_delete_batch	   ubpfc_delete_batch
#define bpf_freeze_map		   ubpfc_freeze_map
#define bpf_prog_load		   ubpfc_prog_load
#define bpf_prog_test_run	   ubpfc_prog_test_run
#define bpf_prog_bind_map	   ubpfc_prog_bind_map
#define bpf_prog_attach		   ubpfc_prog_attach
#define bpf_prog_detach		   ubpfc_prog_detach
#define bpf_link_create		   ubpfc_link_create
#define bpf_link_update		   ubpfc_link_update
#define bpf_link_detach		   ubpfc_link_detach
#define bpf_obj_get_info_by_fd	   ubpfc_obj_get_info_by_fd
#define bpf_obj_pin		   ubpfc_obj_pin
#define bpf_obj_get		   ubpfc_obj_get
#define bpf_map_get_fd_by_id	   ubpfc_map_get_fd_by_id
#define bpf_prog_get_fd_by_id	   ubpfc_prog_get_fd_by_id
#define bpf_map_get_next_id	   ubpfc_map_get_next_id
#define bpf_prog_get_next_id	   ubpfc_prog_get_next_id

#endif
