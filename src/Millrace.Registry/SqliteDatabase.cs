using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;
using Millrace.Core;
using SQLitePCL;

namespace Millrace.Registry;

/// <summary>The registry's file is held by another program for longer than we wait.</summary>
public sealed class RegistryBusyException(string message, Exception inner) : Exception(message, inner);

/// <summary>
/// One SQLite file in WAL mode: one connection that writes, behind a lock, and a few that read, each seeing the last
/// committed state. Thread-safe.
/// </summary>
public sealed class SqliteDatabase : IDisposable
{
    /// <summary>How long a statement waits for another program (a backup, a shell) to let go of the file.</summary>
    private const int BusySeconds = 5;

    /// <summary>Readers kept open; more are opened at need and closed after use.</summary>
    private const int ReadersKeptMax = 8;

    private readonly string _path;
    private readonly Lock _writeGate = new();
    private readonly SqliteConnection _writer;
    private readonly ConcurrentBag<SqliteConnection> _readers = [];
    private bool _disposed;

    private SqliteDatabase(string path, SqliteConnection writer)
    {
        _path = path;
        _writer = writer;
    }

    public string Path => _path;

    /// <summary>Opens or makes the file and brings its schema up to date.</summary>
    /// <exception cref="StartException">It cannot be opened, is no database, or was written by a newer release.</exception>
    public static SqliteDatabase Open(string path)
    {
        raw.SetProvider(new SQLite3Provider_e_sqlite3());
        SqliteConnection? writer = null;
        try
        {
            writer = Connect(path);
            Execute(writer, "PRAGMA journal_mode=WAL");
            // Devices added and tokens issued are promises to people: they survive a power cut.
            Execute(writer, "PRAGMA synchronous=FULL");
            Execute(writer, "PRAGMA cache_size=-16000");
            Migrations.Apply(writer, path);
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return new SqliteDatabase(path, writer);
        }
        catch (SqliteException e)
        {
            writer?.Dispose();
            throw new StartException(IsBusy(e)
                ? $"{path} is locked by another program; close it (a database shell, a backup) and start again"
                : $"{path} cannot be opened as the device registry: {e.Message}; make it readable and writable for this user or restore it from a backup", e);
        }
        catch
        {
            writer?.Dispose();
            throw;
        }
    }

    /// <summary>Runs one transaction; rolled back when <paramref name="work"/> throws.</summary>
    /// <exception cref="RegistryBusyException">Another program held the file for longer than five seconds; nothing was changed.</exception>
    public T Write<T>(Func<SqliteConnection, SqliteTransaction, T> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        lock (_writeGate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            try
            {
                using var transaction = _writer.BeginTransaction(deferred: false);
                var result = work(_writer, transaction);
                transaction.Commit();
                return result;
            }
            catch (SqliteException e) when (IsBusy(e))
            {
                throw new RegistryBusyException(
                    $"{_path} has been locked by another program for {BusySeconds} s, nothing was changed; close that program (a database shell, a backup)", e);
            }
        }
    }

    /// <summary>Reads the last committed state; writers do not hold readers up.</summary>
    public T Read<T>(Func<SqliteConnection, T> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_readers.TryTake(out var reader))
            reader = ConnectReader();
        try
        {
            return work(reader);
        }
        catch (SqliteException e) when (IsBusy(e))
        {
            throw new RegistryBusyException($"{_path} has been locked by another program for {BusySeconds} s; close that program", e);
        }
        finally
        {
            Return(reader);
        }
    }

    /// <summary>A reading connection of the caller's own, for streams that live longer than one call.</summary>
    internal SqliteConnection ConnectReader()
    {
        var reader = Connect(_path);
        Execute(reader, "PRAGMA query_only=1");
        return reader;
    }

    public void Dispose()
    {
        lock (_writeGate)
        {
            if (_disposed)
                return;
            _disposed = true;
            while (_readers.TryTake(out var reader))
                reader.Dispose();
            _writer.Dispose();
        }
    }

    internal static bool IsBusy(SqliteException e) => e.SqliteErrorCode is raw.SQLITE_BUSY or raw.SQLITE_LOCKED;

    internal static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // The statements are constants of this assembly.
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    private void Return(SqliteConnection reader)
    {
        if (_disposed || _readers.Count >= ReadersKeptMax)
            reader.Dispose();
        else
            _readers.Add(reader);
    }

    private static SqliteConnection Connect(string path)
    {
        // Pooling is ours: a pooled handle would keep the file open after Dispose.
        var text = new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, DefaultTimeout = BusySeconds };
        var connection = new SqliteConnection(text.ConnectionString);
        connection.Open();
        return connection;
    }
}
