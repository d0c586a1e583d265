# expect: KD701 KD702 KD711 KD718
import tensorflow as tf
from tensorflow.keras import layers

vectorize = layers.TextVectorization(max_tokens=10000, output_sequence_length=250)
vectorize.adapt(train_text)
model = tf.keras.Sequential(
    [vectorize, layers.Embedding(10001, 16), layers.Dropout(0.2), layers.GlobalAveragePooling1D(), layers.Dense(1)]
)
model.compile(loss=tf.keras.losses.BinaryCrossentropy(from_logits=True), optimizer="adam", metrics=["accuracy"])
history = model.fit(
    train_ds, validation_data=val_ds, epochs=10, callbacks=[tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=2)]
)
print(history.history.keys())
