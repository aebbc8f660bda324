/* libmodbus_loop PORT POLLS [START COUNT]...: reads the blocks again and again, and makes something of every value. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    uint16_t words[MODBUS_MAX_READ_REGISTERS];
    double sum = 0;
    modbus_t *device = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    modbus_set_slave(device, 1);
    if (modbus_connect(device) == -1) {
        return 1;
    }
    for (long poll = atol(argv[2]); poll > 0; poll--) {
        for (int block = 3; block + 1 < argc; block += 2) {
            int count = atoi(argv[block + 1]);
            if (modbus_read_registers(device, atoi(argv[block]), count, words) != count) {
                return 1;
            }
            if (count == 4) {
                sum += modbus_get_float_abcd(words) + modbus_get_float_abcd(words + 2);
            } else {
                for (int index = 0; index < count; index++) {
                    sum += words[index];
                }
            }
        }
    }
    modbus_close(device);
    modbus_free(device);
    return sum > 0 ? 0 : 2;
}
