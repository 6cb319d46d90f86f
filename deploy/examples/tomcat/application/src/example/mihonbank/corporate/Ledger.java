package example.mihonbank.corporate;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Stands for the core banking system: whose accounts there are, and what was asked for. */
final class Ledger {
    private static final Map<String, List<Account>> ACCOUNTS = Map.of(
        "10000000000001", List.of(
            new Account("本店営業部", "普通", "1234567", 12_345_678),
            new Account("大手町支店", "当座", "7654321", 98_000_000)));
    private static final AtomicInteger LAST = new AtomicInteger();

    private Ledger() {
    }

    record Account(String branch, String kind, String number, long balance) {
    }

    static List<Account> accounts(String contract) {
        return ACCOUNTS.getOrDefault(contract, List.of());
    }

    /** Takes a transfer, and says under which number. */
    static String transfer(String contract, String to, long amount) {
        return "%s-%04d".formatted(contract, LAST.incrementAndGet());
    }
}
