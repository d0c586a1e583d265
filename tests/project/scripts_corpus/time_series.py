# expect: KD701 KD702 KD711 KD718
import tensorflow as tf

MAX_EPOCHS = 20


def compile_and_fit(model, window, patience=2):
    early_stopping = tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, mode="min")
    model.compile(loss=tf.keras.losses.MeanSquaredError(), optimizer=tf.keras.optimizers.Adam())
    history = model.fit(window.train, epochs=MAX_EPOCHS, validation_data=window.val, callbacks=[early_stopping])
    return history


linear = tf.keras.Sequential([tf.keras.layers.Dense(units=1)])
history = compile_and_fit(linear, single_step_window)
print(history.history)
