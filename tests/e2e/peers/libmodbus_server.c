/* A Modbus TCP device on libmodbus, with the registers that README.md of this folder lists.
 * Without argument on TCP: prints "listening PORT" and serves one client after another until it is killed.
 * With the path of a serial port as RTU on it: prints "listening 0". */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void put(uint16_t *registers, uint64_t value, int words) {
    for (int i = 0; i < words; i++)
        registers[i] = (uint16_t)(value >> (16 * (words - 1 - i)));
}

static int serve_serial(modbus_t *context, modbus_mapping_t *map) {
    uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
    if (modbus_set_slave(context, 1) < 0 || modbus_connect(context) < 0)
        return 1;
    printf("listening 0\n");
    fflush(stdout);
    for (;;) {
        int received = modbus_receive(context, query);
        if (received > 0)
            modbus_reply(context, query, received, map);
    }
}

int main(int count, char **arguments) {
    modbus_t *context = count > 1 ? modbus_new_rtu(arguments[1], 115200, 'N', 8, 1) : modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(32, 32, 64, 64);
    if (context == NULL || map == NULL)
        return 1;
    uint16_t *holding = map->tab_registers;
    float f32 = 3.25f;
    double f64 = 2.718281828459045;
    uint32_t f32_bits;
    uint64_t f64_bits;
    memcpy(&f32_bits, &f32, 4);
    memcpy(&f64_bits, &f64, 8);
    holding[0] = 0x1234;
    holding[1] = (uint16_t)-2;
    put(holding + 2, 0xDEADBEEF, 2);
    put(holding + 4, 0xBEEFDEAD, 2); /* word order cdab */
    put(holding + 6, f32_bits, 2);
    put(holding + 8, f64_bits, 4);
    put(holding + 12, (uint64_t)-9007199254740993LL, 4);
    holding[16] = 2153;
    map->tab_input_registers[0] = 777;
    const uint8_t coils[8] = {1, 0, 1, 1, 0, 0, 1, 0};
    memcpy(map->tab_bits, coils, sizeof coils);
    map->tab_input_bits[3] = 1;

    if (count > 1)
        return serve_serial(context, map);

    int listener = modbus_tcp_listen(context, 1);
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        return 1;
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listener) < 0)
            return 1;
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        int received;
        while ((received = modbus_receive(context, query)) >= 0)
            if (received > 0)
                modbus_reply(context, query, received, map);
        modbus_close(context);
    }
}
